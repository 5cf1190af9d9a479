"""Choose the full steps and the weights of kept features that err least, and write them as a plan.

Proposals (the paper's ways, lines, and full steps and weights with the least predicted error of the image) are sampled
from noise of their own and compared with uncached images; each has as many full steps as the uniform schedule of the
interval.
"""

from dataclasses import replace
from pathlib import Path

from deepcache import cli
from deepcache.sampling.request import add_model_options, open_request


def main(arguments) -> None:
    """Read the recording, sample the proposals, write the best."""
    from deepcache.beyond.calibration.calibrate import calibrate, eq7_candidates
    from deepcache.beyond.calibration.recorded import read_recorded
    from deepcache.errors import DeepCacheError
    from deepcache.methods.method import Method
    from deepcache.progress import progress
    from deepcache.provenance import provenance

    chosen = Method.parse(arguments.method)
    if not chosen.takes_plan:
        raise DeepCacheError(f"--method {chosen.slug}: nothing to choose; it must look like chosen-n5-b2")
    request = open_request(arguments, Method())
    recorded = read_recorded(arguments.recorded, request.manifest, request.sampler, chosen.branch)
    if recorded.seed == request.seed:
        raise DeepCacheError(f"--seed {request.seed}: the recording has the same; give another")
    with progress(None, f"{request.manifest['name']} {chosen.slug}", unit="proposal") as bar:
        eq7 = eq7_candidates(request.model.schedule_length(request.sampler))
        plan = calibrate(request, chosen, recorded, range(arguments.images), arguments.screened, eq7, bar.update)
    replace(plan, calibration={**plan.calibration, **provenance(request.device)}).save(arguments.output)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    add_model_options(parser)
    parser.add_argument(
        "--method", default="chosen-n5-b0", help="interval, which sets the number of full steps, and branch"
    )
    parser.add_argument("--recorded", required=True, type=Path, metavar="NPZ", help="what record_features.py wrote")
    parser.add_argument("--images", type=cli.positive, default=32, help="on which the finalists are compared")
    parser.add_argument("--screened", type=cli.positive, default=16, help="of these, on which all proposals are")
    parser.add_argument(
        "--seed", type=cli.natural, default=7002, help="of the noise; not that of images to be measured"
    )
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
