"""Draw Figure 2: feature maps at adjacent steps, similarity between all steps, share of similar steps, by model."""

import json
from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Read what feature_similarity.py recorded and draw it."""
    import numpy as np

    from deepcache.errors import DeepCacheError
    from deepcache.figures.similarity import Recorded, draw_similarity
    from deepcache.figures.style import save
    from deepcache.files import UNREADABLE

    models = []
    for path in arguments.recorded:
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                label = f"{about['checkpoint']}\n{about['layer']}\n{about['sampler']}"
                models.append(Recorded(label, file["matrix"], file["maps"]))
        except UNREADABLE as error:
            raise DeepCacheError(f"{path}: not a recorded similarity ({error}); delete it and run again") from error
    save(draw_similarity(arguments.title, models, arguments.threshold), arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--recorded", required=True, type=Path, nargs="+", metavar="NPZ", help="one for each row")
    parser.add_argument(
        "--threshold", type=cli.number, default=0.95, help="from which similarity on steps count as similar"
    )
    parser.add_argument("--title", default="")
    parser.add_argument("--output", required=True, type=cli.figure_file, metavar="PNG")
    cli.run(main, parser)
