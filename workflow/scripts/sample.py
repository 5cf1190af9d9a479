"""Sample one shard of images with or without caching.

Shard i of size S holds images i*S to (i+1)*S - 1. The initial noise of image j depends on the seed and j alone, so
every method starts from the same noise.
"""

import time

from deepcache import cli
from deepcache.sampling.request import add_method_options, add_model_options, open_request


def main(arguments) -> None:
    """Load, sample in batches, write the shard."""
    from deepcache.sampling.sampled_shard import sample_shard

    started = time.perf_counter()
    shard = arguments.shard, arguments.shard_size, arguments.batch_size
    sampled = sample_shard(open_request(arguments), arguments.output, *shard, arguments.plan)
    taken, sizes = time.perf_counter() - started, sorted(set(sampled.batch_sizes), reverse=True)
    print(
        f"{arguments.output}: {len(sampled.images)} images in {sampled.seconds:.1f} s,"
        f" {sampled.seconds / taken:.0%} of the job's time; batches of {', '.join(map(str, sizes))}"
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    add_model_options(parser)
    add_method_options(parser)
    cli.add_execution_option(parser)
    parser.add_argument("--seed", type=cli.natural, default=0)
    parser.add_argument("--shard", type=cli.natural, default=0, help="index of the shard")
    parser.add_argument("--shard-size", type=cli.positive, default=128, help="images in a shard")
    parser.add_argument("--batch-size", type=cli.positive, default=128, help="images sampled at a time")
    parser.add_argument("--output", required=True, type=cli.output_file(".npz"), metavar="NPZ")
    cli.run(main, parser)
