"""Write the tables of target `beyond` as CSV and Markdown: every method, and what the rule gains over the paper's.

Writes OUTPUT (every method), OUTPUT's name with `_gains` (the gains), and OUTPUT's Markdown.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Collect and write."""
    from deepcache.beyond.comparison.markdown import beyond_markdown
    from deepcache.beyond.comparison.sweeps import read_sweeps
    from deepcache.beyond.comparison.tables import build_beyond_table, build_gains_table
    from deepcache.errors import DeepCacheError
    from deepcache.files import atomic

    macs = {model: Path(path) for model, path in cli.pairs("--macs", arguments.macs).items()}
    wanted = cli.pairs("--goals", arguments.goals).items()
    try:
        goals = {int(interval): float(gain) for interval, gain in wanted}
    except ValueError as error:
        raise DeepCacheError(f"--goals takes pairs of numbers such as 5=12 ({error})") from error
    sweeps = read_sweeps(arguments.sweeps)
    table, gains = build_beyond_table(sweeps, macs), build_gains_table(sweeps, goals)
    output = arguments.output
    for path, content in ((output, table), (output.with_stem(f"{output.stem}_gains"), gains)):
        with atomic(path) as temporary:
            content.to_csv(temporary, index=False)
    with atomic(output.with_suffix(".md")) as temporary:
        temporary.write_text(beyond_markdown(table, gains, sweeps, arguments.title), encoding="utf-8")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--sweeps", required=True, type=Path, nargs="+", metavar="JSON", help="what sweep.py wrote")
    parser.add_argument("--macs", required=True, nargs="+", metavar="MODEL=JSON", help="what model_macs.py wrote")
    parser.add_argument("--goals", nargs="*", default=[], metavar="N=DB", help="gains that are aimed at: 5=12 10=7")
    parser.add_argument("--title", default="Beyond the paper")
    parser.add_argument(
        "--output", required=True, type=cli.output_file(".csv"), metavar="CSV", help="the others are written beside it"
    )
    cli.run(main, parser)
