"""Write one table as CSV and Markdown: our numbers, the published ones and the differences."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Build and write."""
    from deepcache.files import atomic
    from deepcache.json_values import parse_option
    from deepcache.results.markdown import to_markdown
    from deepcache.results.tables import LAYOUT, build_table

    layout = parse_option("--layout", arguments.layout, LAYOUT)
    table = build_table(layout, arguments.results, arguments.published)
    with atomic(arguments.output) as temporary:
        table.to_csv(temporary, index=False)
    with atomic(arguments.output.with_suffix(".md")) as temporary:
        temporary.write_text(to_markdown(table, layout), encoding="utf-8")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--layout", required=True, metavar="JSON", help="as `python -m deepcache.suite.layout CONFIG TABLE` prints it"
    )
    parser.add_argument("--results", required=True, type=Path, metavar="DIR", help="results/<suite>")
    parser.add_argument("--published", type=Path, default=Path("config/published"), metavar="DIR")
    parser.add_argument(
        "--output", required=True, type=cli.output_file(".csv"), metavar="CSV", help="the Markdown is written beside it"
    )
    cli.run(main, parser)
