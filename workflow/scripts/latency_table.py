"""Put what latency.py measured into one table, in words and in a picture."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read, and write the table beside its Markdown and picture."""
    from deepcache.figures.latency import draw_speed
    from deepcache.figures.style import save
    from deepcache.files import atomic
    from deepcache.results.latency import OPERATION_COLUMNS, read_speed, to_markdown

    table = read_speed(arguments.measured)
    operations = read_speed(arguments.operations, OPERATION_COLUMNS) if arguments.operations else None
    with atomic(arguments.output) as temporary:
        table.to_csv(temporary, index=False)
    with atomic(arguments.output.with_suffix(".md")) as temporary:
        temporary.write_text(to_markdown(table, operations), encoding="utf-8")
    devices = ", ".join(dict.fromkeys(table["device"]))
    save(draw_speed(f"Speed beside MACs: {devices}", table), arguments.output.with_suffix(".png"))


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--measured", required=True, nargs="+", type=Path, metavar="CSV", help="of latency.py")
    parser.add_argument("--operations", nargs="*", type=Path, metavar="CSV", help="of its --operations")
    parser.add_argument(
        "--output",
        required=True,
        type=cli.output_file(".csv"),
        metavar="CSV",
        help="beside it appear the same in .md and .png",
    )
    cli.run(main, parser)
