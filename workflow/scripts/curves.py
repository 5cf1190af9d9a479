"""Draw columns of tables against each other: ours above, the paper's below, where it has any."""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read the tables and draw them."""
    from deepcache.errors import DeepCacheError
    from deepcache.figures.curves import LAYOUT, choose_rows, draw_curves
    from deepcache.figures.style import save
    from deepcache.json_values import parse_option
    from deepcache.results.paper_cells import read_csv

    layout = parse_option("--layout", arguments.layout, LAYOUT)
    if len(arguments.tables) != len(layout["panels"]):
        raise DeepCacheError(f"{len(layout['panels'])} panels but {len(arguments.tables)} tables")
    columns = [layout["x"]["column"], *(one["y"] for one in layout["series"])]
    pairs = zip(layout["panels"], arguments.tables, strict=True)
    panels = [
        (
            panel.get("ours", panel["title"]),
            panel["title"],
            choose_rows(read_csv(table, columns), panel.get("where", {})),
        )
        for panel, table in pairs
    ]
    save(draw_curves(layout["title"], panels, layout["x"], layout["y"], layout["series"]), arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--tables", required=True, type=Path, nargs="+", metavar="CSV", help="one for each panel")
    parser.add_argument("--layout", required=True, metavar="JSON", help="as `curves` has it in the config")
    parser.add_argument("--output", required=True, type=cli.figure_file, metavar="PNG")
    cli.run(main, parser)
