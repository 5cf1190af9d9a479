"""Draw the path of a branch's feature over the steps, and what holding, a line and a parabola miss of it."""

import json

from deepcache import cli


def main(arguments) -> None:
    """Read the recordings and draw them side by side."""
    import numpy as np

    from deepcache.beyond.figures.forecast import draw_forecast
    from deepcache.errors import DeepCacheError
    from deepcache.figures.style import save
    from deepcache.files import UNREADABLE
    from deepcache.runs.sampler import Sampler

    models = []
    for label, path in cli.pairs("--recorded", arguments.recorded).items():
        try:
            with np.load(path, allow_pickle=False) as file:
                gram, about = file["gram"], json.loads(str(file["about"]))
        except (*UNREADABLE, TypeError) as error:
            raise DeepCacheError(f"{path}: not a readable recording ({error}); record it again") from error
        name = f"{label}, {about['sampler']}, branch {about['branch']}"
        repeated = Sampler.parse(about["sampler"]).name == "plms"  # a call that no schedule counts
        models.append((name, len(gram) - repeated, gram))
    save(draw_forecast(arguments.title, arguments.interval, models), arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--recorded", required=True, nargs="+", metavar="LABEL=NPZ", help="what record_features.py wrote"
    )
    parser.add_argument("--interval", type=cli.positive, default=5, help="N of the full steps")
    parser.add_argument("--title", default="Why a deep feature can be forecast: its path, and what is missed of it")
    parser.add_argument("--output", required=True, type=cli.figure_file, metavar="PNG")
    cli.run(main, parser)
