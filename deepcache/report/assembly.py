"""The report's pages and captions out of a suite's results."""

from pathlib import Path

from deepcache.files import atomic
from deepcache.report import captions, records
from deepcache.report.contents import FIGURES, PROVENANCE, SUMMARY, contents, real_models
from deepcache.report.pages import page
from deepcache.report.results import SuiteResults
from deepcache.report.timing import timing_page


def write_pages(results: SuiteResults, folder: Path) -> None:
    """Write what the report's contents name: a caption of each item, and a page of each that is no figure.

    Args:
        results: of the suite.
        folder: gets the folders `captions` and `pages`.
    """
    items = contents(results.suite, results.layouts)
    pages = markdown_pages(results)
    about = _of_tables(results) | _of_figures(results) | _of_timings(results)
    together = records.all_runs(results.runs)
    about |= {item.name: captions.caption([together]) for item in items if item.category == PROVENANCE}
    about |= dict.fromkeys(SUMMARY, captions.verdicts_caption(results.verdicts, together))
    for item in items:
        with atomic(folder / "captions" / f"{item.name}.rst") as temporary:
            temporary.write_text(about[item.name], encoding="utf-8")
        if item.category != FIGURES:
            with atomic(folder / "pages" / f"{item.name}.html") as temporary:
                temporary.write_text(page(item.name, pages[item.name]), encoding="utf-8")


def markdown_pages(results: SuiteResults) -> dict[str, str]:
    """Every page by its name, as Markdown."""
    return {
        **results.texts,
        "paper_models": "# MACs of the paper's models\n\n" + results.texts["paper_models"],
        **{f"timing-{group}": timing_page(group, timed) for group, timed in results.timings.items()},
        "runs": records.runs_page(results.runs, results.folder),
        "checkpoints": records.checkpoints_page(results.checkpoints),
        "datasets": records.datasets_page(results.datasets),
        "software": records.software_page(results.runs),
        "settings": records.settings_page(results.suite),
    }


def _of_tables(results: SuiteResults) -> dict[str, str]:
    """Captions by name."""
    tables, layouts = results.tables, results.layouts
    about = {name: captions.table_caption(tables[name], layouts[name], results.suite) for name in layouts}
    about["paper_models"] = captions.macs_caption(results.macs)
    about["diversity"] = captions.diversity_caption(results.diversity, results.suite)
    return about


def _of_figures(results: SuiteResults) -> dict[str, str]:
    """Captions by name, but for the figure of diversity, which has its table's."""
    suite, tables, layouts = results.suite, results.tables, results.layouts
    about = {"fig2": captions.similarity_caption(results.features), "fig4": captions.macs_caption(results.macs)}
    for name, grid in suite["sample_grids"].items():
        about[name] = captions.samples_caption(grid, tables[grid["table"]], layouts[grid["table"]], suite)
    about |= {f"real_{model}": captions.real_caption(suite, model) for model in real_models(suite)}
    for name, curves in suite["curves"].items():
        shown = [panel["table"] for panel in curves["panels"]]
        about[name] = captions.curves_caption([(tables[table], layouts[table]) for table in shown], suite)
    return about


def _of_timings(results: SuiteResults) -> dict[str, str]:
    """Captions by name."""
    about = {}
    for group, timed in results.timings.items():
        shown = [name for name, layout in results.layouts.items() if layout["timing"].get("group") == group]
        tables = [(results.tables[name], results.layouts[name]) for name in shown]
        about[f"timing-{group}"] = captions.timing_caption(timed, tables, results.suite)
    return about
