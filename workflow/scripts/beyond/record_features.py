"""Record how a branch's feature moves over uncached trajectories, and how the images hang on it, by backward passes.

One recording serves plans of every interval, see calibrate.py. Killed and run again, it goes on where it was stopped.
"""

from deepcache import cli
from deepcache.sampling.request import add_model_options, open_request


def main(arguments) -> None:
    """Sample without caching, differentiate, and keep products of features and derivatives only."""
    from deepcache.beyond.calibration.recorded import identity, write_recorded
    from deepcache.beyond.calibration.recording import record
    from deepcache.progress import progress
    from deepcache.quality.partial import Partial

    request = open_request(arguments)
    model, sampler, manifest, branch = request.model, request.sampler, request.manifest, arguments.branch
    size, probes = arguments.batch_size, arguments.probes
    batches = [range(i, min(i + size, arguments.images)) for i in range(0, arguments.images, size)]
    partial = None
    if arguments.partial:
        key = identity(manifest, sampler, branch) | {"precision": request.precision, "seed": request.seed}
        key |= {name: getattr(arguments, name) for name in ("images", "probes", "batch_size")}
        partial = Partial(arguments.partial, key, arguments.save_every)
    total = len(batches) * (1 + probes) * model.num_steps(sampler)
    with progress(None, f"{manifest['name']} branch {branch}", unit="call", total=total) as bar:
        recorded = record(model, sampler, branch, batches, request.seed, probes, partial, bar.update)
    write_recorded(arguments.output, recorded, manifest, sampler, branch)
    if partial:
        partial.discard()


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    add_model_options(parser)
    parser.add_argument("--branch", type=cli.natural, default=0, help="skip branch, from 0")
    parser.add_argument("--images", type=cli.positive, default=24, help="trajectories; at least 2")
    parser.add_argument("--probes", type=cli.positive, default=2, help="backward passes through each of them")
    parser.add_argument(
        "--batch-size", type=cli.positive, default=12, help="of which the features are in memory at once"
    )
    parser.add_argument(
        "--seed", type=cli.natural, default=7001, help="of the noise; not that of images to be measured"
    )
    parser.add_argument(
        "--partial", type=cli.output_file(), metavar="FILE", help="state of an unfinished recording, to go on from"
    )
    parser.add_argument(
        "--save-every", type=cli.number, default=30, metavar="SECONDS", help="how often to write the state"
    )
    parser.add_argument("--output", required=True, type=cli.output_file(".npz"), metavar="NPZ")
    cli.run(main, parser)
