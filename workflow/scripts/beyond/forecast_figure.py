"""Draw the path of a branch's feature over the steps, and how what is missed of it adds up in the image or cancels."""

from deepcache import cli


def main(arguments) -> None:
    """Read the recordings and draw them side by side."""
    from deepcache.beyond.calibration.recorded import open_recorded
    from deepcache.beyond.figures.forecast import Column, draw_forecast
    from deepcache.caching.plan import open_plan
    from deepcache.caching.schedules import uniform
    from deepcache.errors import DeepCacheError
    from deepcache.figures.style import save
    from deepcache.sampler import Sampler

    columns, plans = [], cli.pairs("--plans", arguments.plans)
    for label, path in cli.pairs("--recorded", arguments.recorded).items():
        recorded, about = open_recorded(path)
        if label not in plans:
            raise DeepCacheError(f"--plans: none of {label}, which --recorded names")
        name = f"{label}, {about['sampler']}, branch {about['branch']}"
        repeated = Sampler.parse(about["sampler"]).name == "plms"  # a call that no schedule counts
        even = uniform(recorded.rows.num_steps - repeated, arguments.interval)
        columns.append(Column(name, even, recorded, open_plan(plans[label])))
    save(draw_forecast(arguments.title, columns), arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--recorded", required=True, nargs="+", metavar="LABEL=NPZ", help="what record_features.py wrote"
    )
    parser.add_argument(
        "--plans", required=True, nargs="+", metavar="LABEL=JSON", help="what calibrate.py wrote, of the same branch"
    )
    parser.add_argument("--interval", type=cli.positive, default=5, help="N of the full steps")
    parser.add_argument(
        "--title", default="Why a deep feature can be forecast: its path, and how what is missed adds up or cancels"
    )
    parser.add_argument("--output", required=True, type=cli.figure_file, metavar="PNG")
    cli.run(main, parser)
