# Searches by successive halving: who is left in each round is known when the round before has been run.
from deepcache.suite.layout import RESULT_FILES
from deepcache.suite.search import settle

# Each screening by its file: its row in a table's layout, and the row as it stands at that round.
SCREENINGS = {
    one["file"]: (one, {**row, "screenings": row["screenings"][:i]})
    for layout in LAYOUTS.values()
    for row in layout["rows"]
    for i, one in enumerate(row["screenings"])
}


def settled(layout):
    """A layout with the candidates that its screenings kept; before these have run, Snakemake is told to run them."""
    for row in layout["rows"]:
        for one in row["screenings"]:
            checkpoints.screening.get(search=Path(one["file"]).parent.name, images=one["images"])
    return settle(layout, RESULTS)


def screening_of(wildcards):
    """A screening, and its row as it stands then."""
    return SCREENINGS[f"searches/{wildcards.search}/first-{wildcards.images}.json"]


def still_in(screening):
    """The folders of those that a screening compares."""
    _, before = SCREENINGS[screening["file"]]
    (row,) = settled({"rows": [before]})["rows"]
    return [f"{RESULTS}/{path}" for path in row["candidates"]]


def screened_scores(wildcards):
    """What a screening compares: a metric of each candidate's first images."""
    one, row = screening_of(wildcards)
    name, end = RESULT_FILES[row["by"]].split(".")
    return [f"{run}/{name}-{one['images']}.{end}" for run in still_in(one)]


def screened_files(screening):
    """What a screening rests on: asked for by name, as in `kept_results`."""
    images = screening["images"]
    runs = {run: Path(run).relative_to(RESULTS).parts[0] for run in still_in(screening)}
    shards = [shard for run, model in runs.items() for shard in kept_shards(run, model, images)]
    return [f"{RESULTS}/{screening['file']}", *(f"{run}/run-{images}.json" for run in runs), *shards]


def screening_options(wildcards):
    """How a screening decides."""
    one, row = screening_of(wildcards)
    return shlex.join(as_options({"by": row["by"], "images": one["images"], "keep": one["keep"]}))
