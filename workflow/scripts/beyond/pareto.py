"""Draw error and score against MACs and measured speed: the paper's ways to cache, forecasts, the rule.

What was not measured is left out: without --timing all that is against speed.
"""

from pathlib import Path

from deepcache import cli

TITLE = "Error and score against cost. Numbers: N. Eq. 7 costs what uniform steps cost, and was not timed."


def main(arguments) -> None:
    """Read and draw."""
    from deepcache.beyond.comparison.sweeps import read_sweeps
    from deepcache.beyond.comparison.tables import build_beyond_table
    from deepcache.beyond.figures.pareto import draw_pareto, pareto_points, read_timing
    from deepcache.figures.style import save

    macs = {model: Path(path) for model, path in cli.pairs("--macs", arguments.macs).items()}
    sweeps = read_sweeps(arguments.sweeps)
    table = build_beyond_table(sweeps, macs)
    points = pareto_points(sweeps, table, read_timing(arguments.timing))
    save(draw_pareto(arguments.title, points), arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--sweeps", required=True, type=Path, nargs="+", metavar="JSON", help="what sweep.py wrote")
    parser.add_argument("--macs", required=True, nargs="+", metavar="MODEL=JSON", help="what model_macs.py wrote")
    parser.add_argument("--timing", type=Path, nargs="*", default=[], metavar="JSON", help="what time_models.py wrote")
    parser.add_argument("--title", default=TITLE)
    parser.add_argument("--output", required=True, type=cli.figure_file, metavar="PNG")
    cli.run(main, parser)
