"""Sample every way to cache at one interval and branch, from the same noises, and compare with the uncached images.

Keeps no images: for each way the squared error of every image, FID and CLIP score.
"""

from pathlib import Path

from deepcache import cli
from deepcache.beyond.comparison.scoring import add_scoring_options
from deepcache.sampling.request import add_model_options, open_request


def main(arguments) -> None:
    """Load once, then sample way by way, seed by seed."""
    from deepcache.beyond.comparison.compared import Comparison
    from deepcache.beyond.comparison.sweep import sweep, ways_to_cache
    from deepcache.files import write_json
    from deepcache.methods.method import Method
    from deepcache.provenance import provenance

    request = open_request(arguments, Method())
    comparison = Comparison.load(request, arguments)
    ways, plan = ways_to_cache(request, arguments)
    methods = sweep(request, comparison, ways, plan, arguments.interval, arguments.seeds, arguments.images)
    about = {
        "model": arguments.name,
        "sampler": request.sampler.slug,
        "steps": request.sampler.steps_taken(request.model.family.prompted),
        "schedule_length": request.model.schedule_length(request.sampler),
        "branch": arguments.branch,
        "interval": arguments.interval,
        "seeds": arguments.seeds,
        "images": arguments.images,
        "weights": request.manifest["source"],
    }
    write_json(arguments.output, {**about, "methods": methods, **provenance(request.device)})


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    add_model_options(parser)
    add_scoring_options(parser)
    parser.add_argument("--branch", type=cli.natural, default=0, help="skip branch, from 0")
    parser.add_argument("--interval", type=cli.positive, default=5, help="N, which sets the number of full steps")
    parser.add_argument("--recorded", required=True, type=Path, metavar="NPZ", help="what record_features.py wrote")
    parser.add_argument("--plan", required=True, type=Path, metavar="JSON", help="what calibrate.py wrote")
    parser.add_argument("--screened", type=cli.positive, default=16, help="of the calibration, for Eq. 7 and affine")
    parser.add_argument(
        "--centers", type=cli.number, nargs="+", default=[0.25, 0.5, 0.75], help="shares of T, for Eq. 7"
    )
    parser.add_argument("--powers", type=cli.number, nargs="+", default=[1.2, 1.4], help="for Eq. 7")
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
