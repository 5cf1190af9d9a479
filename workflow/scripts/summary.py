"""Collect every run and table of a suite, and set every number of the paper beside ours with a verdict.

Writes summary.csv (a row for each run), summary.md, paper_against_ours.csv (a row for each number of the paper) and
paper_against_ours.md.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read the tables, judge, write four files."""
    from deepcache.files import atomic
    from deepcache.json_values import parse_option
    from deepcache.results.paper_cells import open_table, paper_cells
    from deepcache.results.summary import SUITE, against_page, summarize_runs, summary_page

    suite = parse_option("--suite", arguments.suite, SUITE)
    tables = [open_table(name, **{**one, "path": Path(one["path"])}) for name, one in suite["tables"].items()]
    runs = summarize_runs(arguments.results, tables)
    cells = paper_cells(arguments.published, tables, arguments.macs, suite["verdicts"])
    summary, against = (arguments.results / f"{name}.md" for name in ("summary", "paper_against_ours"))
    texts = {
        summary.with_suffix(".csv"): runs.to_csv(index=False),
        summary: summary_page(suite, tables, runs, cells, summary, against),
        against.with_suffix(".csv"): cells.to_csv(index=False),
        against: against_page(suite, tables, cells, against, arguments.published),
    }
    for path, text in texts.items():
        with atomic(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--suite",
        required=True,
        metavar="JSON",
        help="name; verdicts, as in the config; figures, a list of paths; tables: by name title, path of the CSV, and, "
        "where there are, published (as in the config) and timing (the files of its times)",
    )
    parser.add_argument("--results", required=True, type=Path, metavar="DIR", help="results/<suite>, also the output")
    parser.add_argument(
        "--macs",
        type=Path,
        default=Path("results/macs/paper_models.csv"),
        metavar="CSV",
        help="what macs.py wrote",
    )
    parser.add_argument("--published", type=Path, default=Path("config/published"), metavar="DIR")
    cli.run(main, parser)
