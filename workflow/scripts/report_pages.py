"""Write the pages and captions of the report, which report.py makes one file of.

A page for each table, timing job and record of where numbers come from; a caption for each of them and each figure.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read the results and write every page and caption that the report's contents name."""
    from deepcache.json_values import read_object
    from deepcache.report.assembly import write_pages
    from deepcache.report.results import read_results

    tables, timings = cli.pairs("--tables", arguments.tables), cli.pairs("--timing", arguments.timing)
    results = read_results(
        arguments.results,
        read_object(arguments.suite, ("tables", "checkpoints", "datasets")),
        tables,
        arguments.macs,
        arguments.diversity,
        timings,
        arguments.features,
    )
    write_pages(results, arguments.output)


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
    parser.add_argument(
        "--output", required=True, type=cli.output_folder, metavar="DIR", help="for the folders pages and captions"
    )
    cli.run(main, parser)
