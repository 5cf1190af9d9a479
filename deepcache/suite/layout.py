"""From a table's description in the config to the runs and files behind it.

The workflow asks here what a table needs, and the program that writes the table is given the answer. Imports nothing
heavy. `python -m deepcache.suite.layout CONFIG TABLE` prints a table's layout as JSON.
"""

from deepcache.methods.method import Method
from deepcache.runs.run import Run
from deepcache.sampler import Sampler
from deepcache.suite.search import candidates, screenings
from deepcache.suite.timing import timed_as, timed_variant, timing_groups

FROM_METRICS = ("fid", "sfid", "is", "precision", "recall", "precision_adm", "recall_adm", "kid", "fid_clean")
FROM_CLIP = ("clip_score",)
FROM_PAIRED = ("psnr_db", "ssim", "lpips")
FROM_TIMING = ("throughput", "speed", "seconds_per_image")
FROM_MEMORY = ("peak_memory_mb", "bytes_cached")
# Which of a run's files such a value stands in.
RESULT_FILES = {
    **dict.fromkeys(FROM_METRICS, "metrics.json"),
    **dict.fromkeys(FROM_CLIP, "clip_score.json"),
    **dict.fromkeys(FROM_PAIRED, "paired_fidelity.json"),
}


def resolve_method(run: dict, table: dict) -> Method:
    """The method that a run in a table's row names; interval 1 is `full`, whatever the branch."""
    return Method.from_mapping({"branch": table.get("branch", 0), **run})


def resolve_runs(config: dict, run: dict, table: dict) -> list[Run]:
    """The run for each seed of its model."""
    name = run.get("model", table["model"])
    model = config["models"][name]
    sampler = Sampler.parse(run.get("sampler", model["sampler"]))
    return [Run(name, sampler, resolve_method(run, table), seed) for seed in model["seeds"]]


def table_layouts(config: dict) -> dict[str, dict]:
    """The layouts of all tables, each with its `timing`: which timing job times its runs, and under which models."""
    layouts = {name: table_layout(config, name) for name in config["tables"]}
    groups = timing_groups({name: timed_variants(layout) for name, layout in layouts.items()})
    for group, tables in groups.items():
        for name in tables:
            layouts[name]["timing"]["group"] = group
    return layouts


def table_layout(config: dict, name: str) -> dict:
    """A table's layout with every run spelt out, as plain values; all but the name of its timing job.

    Each row holds its labels and, by name, its runs' folders below `results/<suite>` (one for each seed), those of the
    candidates of its search, and the rounds in which these become fewer: see deepcache.suite.search. Of the config it
    contains only what the table depends on.
    """
    table = config["tables"][name]
    first = next((next(iter(row["runs"])) for row in table["rows"] if "runs" in row), None)
    columns = [
        column if isinstance(column, dict) else {"name": column, "run": first, "value": column}
        for column in table["columns"]
    ]

    def paths(run: dict) -> list[str]:
        return [str(one.path) for one in resolve_runs(config, run, table)]

    prompted = sorted(name for name, model in config["models"].items() if "prompts" in model)
    against = {}
    for row in table["rows"]:
        for run in row.get("runs", {}).values():
            if "against" in run:
                (one, other) = (resolve_runs(config, which, table)[0] for which in (run, run["against"]))
                against[variant(one)] = variant(other)
    rows = [
        {
            "labels": row["labels"],
            "beyond": row.get("beyond", False),
            "runs": {key: paths(run) for key, run in row.get("runs", {}).items()},
            # Of the first seed alone: what one seed picks can be judged by the others.
            "candidates": [paths(run)[0] for run in candidates(row["search"])] if "search" in row else [],
            "by": row.get("search", {}).get("by", "fid"),
            "screenings": [
                {"file": f"searches/{name}-{i:02d}/first-{one['images']}.json", **one}
                for one in (_screenings(config, table, row["search"]) if "search" in row else [])
            ],
        }
        for i, row in enumerate(table["rows"])
    ]
    return {
        "name": name,
        "title": table["title"],
        "note": table["note"],
        "steps": Sampler.parse(config["models"][table["model"]]["sampler"]).steps_taken(table["model"] in prompted),
        "published": table.get("published"),
        "prompted": prompted,
        "against": against,
        "timing": {"models": {model: same for model, same in timed_as(config).items() if model != same}},
        "columns": columns,
        "rows": rows,
    }


def _screenings(config: dict, table: dict, search: dict) -> list[dict]:
    return screenings(len(candidates(search)), config["models"][search.get("model", table["model"])])


def layout_runs(layout: dict, values: tuple[str, ...] | None = None) -> list[Run]:
    """The distinct runs behind a layout, in order; if `values` is given, those with a column that shows one of them."""
    shown = [column for column in layout["columns"] if "run" in column]
    wanted = {column["run"] for column in shown if values is None or column["value"] in values}
    paths = [path for row in layout["rows"] for key, runs in row["runs"].items() if key in wanted for path in runs]
    for row in layout["rows"]:
        if values is None or row["by"] in values:
            paths += row["candidates"]
    return [Run.parse(path) for path in dict.fromkeys(paths)]


def diversity_runs(config: dict) -> list[Run]:
    """The runs of which the diversity over seeds is measured: every method and seed of its models."""
    wanted = config["diversity"]
    return [
        Run(name, Sampler.parse(config["models"][name]["sampler"]), resolve_method(method, {}), seed)
        for name in wanted["models"]
        for method in wanted["methods"]
        for seed in wanted["seeds"]
    ]


def paired_runs(layout: dict) -> list[Run]:
    """Every cached run of a single seed whose FID the layout shows: it is compared with its `uncached`."""
    wanted = {column["run"] for column in layout["columns"] if column.get("value") == "fid"}
    single = [runs for row in layout["rows"] for key, runs in row["runs"].items() if key in wanted and len(runs) == 1]
    found = [Run.parse(path) for path in dict.fromkeys(path for (path,) in single)]
    return [run for run in found if run != run.uncached]


def fidelity_runs(layout: dict) -> list[Run]:
    """Every cached run whose images the layout compares with those of its `uncached`."""
    return [run for run in layout_runs(layout, FROM_PAIRED) if run != run.uncached]


def uncached_runs(layout: dict) -> list[Run]:
    """Those that `fidelity_runs` are compared with, image by image."""
    return list(dict.fromkeys(run.uncached for run in fidelity_runs(layout)))


def timed_variants(layout: dict) -> list[str]:
    """Everything that is timed for a layout, by `timed_variant`'s names, uncached first; empty where nothing is."""
    timed = layout_runs(layout, FROM_TIMING)
    return list(
        dict.fromkeys(timed_variant(layout, run) for run in [*(baseline(layout, run) for run in timed), *timed])
    )


def baseline(layout: dict, run: Run) -> Run:
    """What another's speed is measured against, of the same seed: the layout's `against`, or itself without caching."""
    other = layout["against"].get(variant(run))
    return run.uncached if other is None else Run.parse(f"{other}/seed-{run.seed}")


def variant(run: Run) -> str:
    """A run without its seed, as `model/sampler/method`."""
    return str(run.path.parent)


if __name__ == "__main__":
    import json
    import sys
    from pathlib import Path

    import yaml

    print(json.dumps(table_layouts(yaml.safe_load(Path(sys.argv[1]).read_text(encoding="utf-8")))[sys.argv[2]]))
