"""Write the table of diversity as CSV and Markdown: each method, and its change against no caching."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Collect and write."""
    from deepcache.files import atomic
    from deepcache.results.diversity import build_diversity_table, diversity_markdown

    table = build_diversity_table(arguments.diversity)
    with atomic(arguments.output) as temporary:
        table.to_csv(temporary, index=False)
    with atomic(arguments.output.with_suffix(".md")) as temporary:
        temporary.write_text(diversity_markdown(table, arguments.title), encoding="utf-8")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--diversity", required=True, type=Path, nargs="+", metavar="JSON", help="diversity.json of each method"
    )
    parser.add_argument("--title", default="Diversity over seeds")
    parser.add_argument(
        "--output", required=True, type=cli.output_file(".csv"), metavar="CSV", help="the Markdown is written beside it"
    )
    cli.run(main, parser)
