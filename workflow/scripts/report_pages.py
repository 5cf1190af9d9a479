"""Write the pages and captions of the report, which report.py makes one file of.

A page for each table, timing job and record of where numbers come from; a caption for each of them and each figure.
"""

import json
from pathlib import Path

from deepcache import cli
from deepcache.errors import DeepCacheError


def main(arguments) -> None:
    """Read the results and write every page and caption that the report's contents name."""
    from deepcache.files import atomic
    from deepcache.report import captions, records, timing
    from deepcache.report.contents import FIGURES, PROVENANCE, SUMMARY, contents
    from deepcache.report.pages import page
    from deepcache.suite.layout import table_layouts

    suite = records.read_json(arguments.suite)
    layouts = table_layouts(suite)
    items = contents(suite, layouts)
    files, timings = (dict(pair.split("=", 1) for pair in pairs) for pairs in (arguments.tables, arguments.timing))
    missing = sorted(layouts.keys() - files.keys())
    if missing:
        raise DeepCacheError(f"--tables: no {missing[0]}=CSV, but the suite has that table")
    tables = {name: _table(Path(files[name])) for name in layouts}
    macs, diversity = (_table(path) for path in (arguments.macs, arguments.diversity))
    runs = records.read_runs(arguments.results, layouts, diversity)
    checkpoints, datasets = (
        records.read_manifests(arguments.results / kind, suite[kind]) for kind in ("checkpoints", "datasets")
    )

    def timed_tables(group: str) -> list:
        return [(tables[name], layouts[name]) for name in layouts if layouts[name]["timing"].get("group") == group]

    markdown = {name: _text(Path(files[name]).with_suffix(".md")) for name in layouts}
    markdown["paper_models"] = "# MACs of the paper's models\n\n" + _text(arguments.macs.with_suffix(".md"))
    markdown["diversity"] = _text(arguments.diversity.with_suffix(".md"))
    about = {name: captions.table_caption(tables[name], layouts[name], suite) for name in layouts}
    about["paper_models"] = about["fig4"] = captions.macs_caption(macs)
    about["diversity"] = captions.diversity_caption(diversity, suite)
    for group, file in timings.items():
        timed = records.read_json(Path(file))
        markdown[f"timing-{group}"] = timing.timing_page(group, timed)
        about[f"timing-{group}"] = captions.timing_caption(timed, timed_tables(group), suite)
    about["fig2"] = captions.similarity_caption([_recorded(path) for path in arguments.features])
    for name, grid in suite["sample_grids"].items():
        about[name] = captions.samples_caption(grid, tables[grid["table"]], layouts[grid["table"]], suite)
    for name, curves in suite["curves"].items():
        shown = [panel["table"] for panel in curves["panels"]]
        about[name] = captions.curves_caption([(tables[table], layouts[table]) for table in shown], suite)
    markdown |= {
        "runs": records.runs_page(runs, arguments.results),
        "checkpoints": records.checkpoints_page(checkpoints),
        "datasets": records.datasets_page(datasets),
        "software": records.software_page(runs),
        "settings": records.settings_page(suite),
    }
    together = records.all_runs(runs)
    about |= {item.name: captions.caption([together]) for item in items if item.category == PROVENANCE}
    for name in SUMMARY:
        markdown[name] = _text(arguments.results / f"{name}.md")
        about[name] = captions.verdicts_caption(_table(arguments.results / "paper_against_ours.csv"), together)
    for item in items:
        with atomic(arguments.output / "captions" / f"{item.name}.rst") as temporary:
            temporary.write_text(about[item.name])
        if item.category != FIGURES:
            with atomic(arguments.output / "pages" / f"{item.name}.html") as temporary:
                temporary.write_text(page(item.name, markdown[item.name]))


def _table(path: Path):
    import pandas as pd

    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DeepCacheError(f"{path}: cannot be read ({error}); delete it and run again") from error


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise DeepCacheError(f"{path}: cannot be read ({error}); delete it and run again") from error


def _recorded(path: Path) -> dict:
    """What a file of features says of itself."""
    import numpy as np

    from deepcache.files import UNREADABLE

    try:
        with np.load(path, allow_pickle=False) as file:
            return json.loads(str(file["about"]))
    except UNREADABLE as error:
        raise DeepCacheError(f"{path}: not a recorded similarity ({error}); delete it and run again") from error


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--suite", required=True, type=Path, metavar="JSON", help="the suite's config, merged")
    parser.add_argument("--results", required=True, type=Path, metavar="DIR", help="results/<suite>")
    parser.add_argument(
        "--tables", required=True, nargs="+", metavar="NAME=CSV", help="every table; its Markdown lies beside it"
    )
    parser.add_argument("--timing", nargs="*", default=[], metavar="GROUP=JSON", help="every timing job")
    parser.add_argument("--features", nargs="*", type=Path, default=[], metavar="NPZ", help="those of Figure 2")
    parser.add_argument("--macs", required=True, type=Path, metavar="CSV", help="paper_models.csv; Markdown beside it")
    parser.add_argument("--diversity", required=True, type=Path, metavar="CSV", help="its Markdown lies beside it")
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="for the folders pages and captions")
    cli.run(main, parser)
