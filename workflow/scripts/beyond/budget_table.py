"""Write table `budget`: what each method loses at equal measured time, as CSV and Markdown, and its picture.

Writes OUTPUT, OUTPUT's name with `_few_steps` (N = 2 on few steps beside fewer of them), and OUTPUT's Markdown, also as
a page of the report.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Collect, write and draw."""
    from deepcache.beyond.equal_time.figure import draw_budget
    from deepcache.beyond.equal_time.markdown import budget_markdown
    from deepcache.beyond.equal_time.read import read_contests
    from deepcache.beyond.equal_time.table import build_budget_table, build_few_steps_table
    from deepcache.figures.style import save
    from deepcache.files import atomic
    from deepcache.report.pages import page

    contests = read_contests(arguments.contests)
    table, few = build_budget_table(contests), build_few_steps_table(contests)
    text, figure = budget_markdown(table, few, contests, arguments.title), draw_budget(arguments.title, table)
    output = arguments.output
    for path, content in ((output, table), (output.with_stem(f"{output.stem}_few_steps"), few)):
        with atomic(path) as temporary:
            content.to_csv(temporary, index=False)
    for path, content in ((output.with_suffix(".md"), text), (arguments.page, page(arguments.title, text))):
        with atomic(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    save(figure, arguments.figure)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--contests", required=True, type=Path, nargs="+", metavar="JSON", help="what budget.py wrote")
    parser.add_argument("--title", default="What is lost at a speed")
    parser.add_argument("--figure", required=True, type=cli.figure_file, metavar="PNG")
    parser.add_argument("--page", required=True, type=cli.output_file(), metavar="HTML", help="for the report")
    parser.add_argument(
        "--output", required=True, type=cli.output_file(".csv"), metavar="CSV", help="the others are written beside it"
    )
    cli.run(main, parser)
