"""Record how a branch's feature moves over uncached trajectories: the Gram matrix and the importance of each step.

One recording serves plans of every interval, see calibrate.py.
"""

from deepcache import cli
from deepcache.sampling.request import add_model_options, open_request


def main(arguments) -> None:
    """Sample without caching and keep the feature's products only."""
    from deepcache.beyond.calibration.calibrate import record
    from deepcache.beyond.calibration.recording import write_recorded
    from deepcache.progress import progress

    request = open_request(arguments)
    model, sampler, manifest, branch = request.model, request.sampler, request.manifest, arguments.branch
    size = arguments.batch_size
    batches = [range(i, min(i + size, arguments.images)) for i in range(0, arguments.images, size)]
    total = (len(batches) + arguments.points + 1) * model.num_steps(sampler)
    with progress(None, f"{manifest['name']} branch {branch}", unit="step", total=total) as bar:
        points, seed = arguments.points, request.seed
        recorded = record(model, sampler, branch, batches, seed, points, lambda step: bar.update())
    write_recorded(arguments.output, recorded, manifest, sampler, branch)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    add_model_options(parser)
    parser.add_argument("--branch", type=cli.natural, default=0, help="skip branch, from 0")
    parser.add_argument("--images", type=cli.positive, default=24, help="trajectories")
    parser.add_argument(
        "--batch-size", type=cli.positive, default=12, help="of which the features are in memory at once"
    )
    parser.add_argument("--points", type=cli.positive, default=12, help="steps whose importance is measured")
    parser.add_argument(
        "--seed", type=cli.natural, default=7001, help="of the noise; not that of images to be measured"
    )
    parser.add_argument("--output", required=True, type=cli.output_file(".npz"), metavar="NPZ")
    cli.run(main, parser)
