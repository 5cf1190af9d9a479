# Sample grids, and files as the report shows them.
from deepcache.runs.run import Run
from deepcache.suite.timing import timed_variant


def grid_runs(name):
    """(label, run) for each method of a picture: the rows of its table that it shows, the first seed."""
    grid = config["sample_grids"][name]
    layout = LAYOUTS[grid["table"]]
    model = grid.get("model", None if "where" in grid else config["tables"][grid["table"]]["model"])
    found = {}
    for row in layout["rows"]:
        if any(row["labels"].get(key) not in values for key, values in grid.get("where", {}).items()):
            continue
        for column, paths in row["runs"].items():
            run = Run.parse(paths[0])
            if model in (None, run.model) and grid.get("run", column) == column:
                # As the table calls the row; where it has several runs, as the method is called.
                named = row["labels"].get("method") if len(row["runs"]) == 1 else None
                labels = {**row["labels"], "method": named or run.method.label}
                found.setdefault(paths[0], grid.get("label", "{method}").format_map(labels))
    return [(label, Run.parse(path)) for path, label in found.items()]


def grid_prompts(wildcards):
    """The prompts of a picture that shows them; none otherwise."""
    (_, run), *_ = grid_runs(wildcards.grid)
    prompts = config["models"][run.model].get("prompts")
    return dataset_manifest(prompts) if config["sample_grids"][wildcards.grid].get("prompts") else []


def grid_timing(wildcards):
    """The times of a picture that shows them; none otherwise."""
    grid = config["sample_grids"][wildcards.grid]
    return timing_file(LAYOUTS[grid["table"]]) if grid.get("seconds") else []


def grid_options(wildcards):
    """What a picture shows beside its samples, as options of sample_grid.py."""
    grid, shown = config["sample_grids"][wildcards.grid], grid_runs(wildcards.grid)
    options = {"labels": [label for label, _ in shown], "title": grid["title"], "images": grid["images"]}
    options["prompts"] = grid_prompts(wildcards)
    if timing := grid_timing(wildcards):
        layout = LAYOUTS[grid["table"]]
        options |= {"timing": timing, "variants": [timed_variant(layout, run) for _, run in shown]}
    return shlex.join(as_options(options))


def grids_of(table):
    """The pictures that belong to a table."""
    return [f"{RESULTS}/figures/{name}.png" for name, grid in config["sample_grids"].items() if grid["table"] == table]


def uncached_run(model):
    """The folder of a model's run without caching, the first seed."""
    settings = config["models"][model]
    return f"{RESULTS}/{model}/{settings['sampler']}/full/seed-{settings['seeds'][0]}"


def real_files(wildcards):
    """What a picture beside real ones is made from, by the options of real_pictures.py."""
    return {
        "shard": f"{uncached_run(wildcards.model)}/first.npz",
        "clip_score": f"{uncached_run(wildcards.model)}/clip_score.json",
        "prompts": prompts_manifest(wildcards),
        "dataset": dataset_manifest(config["real_pictures"]["dataset"]),
        "weights": manifest(config["models"][wildcards.model]["clip"]),
    }


def real_options(wildcards):
    """What stands beside the real pictures, as options of real_pictures.py."""
    shown = {"images": config["real_pictures"]["images"], "title": wildcards.model}
    return shlex.join(as_options({**real_files(wildcards), **shown}))
