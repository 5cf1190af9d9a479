# The files of tables, and those that they are read from.
import re

from deepcache.suite.layout import FROM_CLIP, FROM_MEMORY, FROM_METRICS, fidelity_runs, paired_runs


def table_files(name):
    """A table, and the same for reading."""
    return [table_file(name), table_file(name).replace(".csv", ".md")]


def table_file(name):
    """table2 -> results/<suite>/tables/table02.csv; a table of another name has the same in its file."""
    number = re.fullmatch("table([0-9]+)", name)
    return f"{RESULTS}/tables/{f'table{int(number[1]):02d}' if number else name}.csv"


def table_inputs(layout):
    """The files that a table's cells are read from."""
    runs = [f"{RESULTS}/{run.path}/run.json" for run in layout_runs(layout)]
    screenings = [f"{RESULTS}/{row['screenings'][-1]['file']}" for row in layout["rows"] if row["screenings"]]
    metrics = [f"{RESULTS}/{run.path}/metrics.json" for run in layout_runs(layout, FROM_METRICS)]
    paired = [f"{RESULTS}/{run.path}/paired.json" for run in paired_runs(layout)]
    clip = [f"{RESULTS}/{run.path}/clip_score.json" for run in layout_runs(layout, FROM_CLIP)]
    fidelity = [f"{RESULTS}/{run.path}/paired_fidelity.json" for run in fidelity_runs(layout)]
    macs = sorted({f"{RESULTS}/macs/{run.model}.json" for run in layout_runs(layout, ("macs_g",))})
    timing = timing_file(layout)
    memory = sorted({f"{RESULTS}/memory/{run.model}.json" for run in layout_runs(layout, FROM_MEMORY)})
    return [*runs, *screenings, *metrics, *paired, *clip, *fidelity, *macs, *timing, *memory]


def kept_results(layout):
    """All that a table rests on: asked for by name, or Snakemake would not notice that a shard is lost."""
    runs = layout_runs(layout)
    shards = [shard for run in runs for shard in kept_shards(f"{RESULTS}/{run.path}", run.model)]
    screened = [path for row in layout["rows"] for one in row["screenings"] for path in screened_files(one)]
    return [*table_inputs(layout), *shards, *screened]


def files_of(layout, files):
    """Files of a table as inputs of a rule; of a row whose search screens, a function: who is kept is not known before.

    Args:
        layout: the table's.
        files: says them of a layout, `table_inputs` or `kept_results`.
    """
    known = {**layout, "rows": [row for row in layout["rows"] if not row["screenings"]]}
    # One function for each, or searches would wait for each other.
    searches = [{**layout, "rows": [row]} for row in layout["rows"] if row["screenings"]]
    return [*files(known), *(lambda w, search=search: files(settled(search)) for search in searches)]


def summary_tables():
    """What the summary says of each table, and where it lies."""
    named = {
        name: {
            "title": layout["title"],
            "path": table_file(name),
            "published": layout["published"],
            "timing": timing_file(layout),
        }
        for name, layout in LAYOUTS.items()
    }
    diversity = {"title": f"Diversity: {config['diversity']['title']}", "path": f"{RESULTS}/tables/diversity.csv"}
    return {**named, "diversity": diversity}


def published_tables():
    """The paper's tables, all of them."""
    return sorted(f"{PUBLISHED}/{name}" for name in os.listdir(PUBLISHED))


def published_table(layout):
    """The paper's numbers for one table; none where the paper has no such table."""
    return f"{PUBLISHED}/{layout['published']['file']}" if layout["published"] else []


def summary_of_suite(wildcards):
    """What the summary is told of the suite. A function, since titles may hold braces, which are no wildcards."""
    about = {"name": config["suite"], "verdicts": config["verdicts"]}
    return json.dumps({**about, "figures": SUMMARISED, "tables": summary_tables()})
