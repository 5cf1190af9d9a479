"""Time U-Nets of the paper's models and others with random weights: uncached, cached, with the authors' plug-in.

All ways to run one model are timed in turn in one process, so slow changes of the machine's speed touch all alike.
Nothing is downloaded. A row's speed-up is to the same mode without caching; `efficiency` is that over MACs' ratio.
"""

import math

from deepcache import cli
from deepcache.execution_modes import MODES


def main(arguments) -> None:
    """Measure model after model; after each batch, write a row for each way, and where the time of its steps goes."""
    import torch

    from deepcache.cost.model_speed import SpeedSettings, measure_models
    from deepcache.devices import choose_device
    from deepcache.results.latency import COLUMNS, OPERATION_COLUMNS, write_table

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    settings = SpeedSettings(
        batches=tuple(arguments.batches),
        intervals=tuple(arguments.intervals),
        modes=tuple(arguments.modes),
        reuses=tuple(arguments.reuses),
        steps=arguments.steps,
        repeats=arguments.repeats,
        limit=arguments.limit,
        profiles=not arguments.no_profiles,
        resolution=arguments.resolution,
        precision=arguments.precision,
        channels_last=arguments.channels_last,
        seed=arguments.seed,
        plugin=not arguments.no_plugin,
        operations=arguments.operations is not None,
    )
    rows, operations = [], []
    for of_batch, operations_of_batch in measure_models(arguments.models, settings, device):
        rows += of_batch
        operations += operations_of_batch
        write_table(arguments.output, rows, COLUMNS)
        if arguments.operations is not None:
            write_table(arguments.operations, operations, OPERATION_COLUMNS)


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--models", nargs="+", default=["ddpm-cifar10"], help="names in deepcache/models/benchmarked.py"
    )
    parser.add_argument("--resolution", type=cli.positive, help="side of the U-Net's input; default: the model's own")
    parser.add_argument("--batches", nargs="+", type=cli.positive, default=[1, 8], help="images sampled at a time")
    parser.add_argument("--intervals", nargs="+", type=cli.positive, default=[2, 3, 5, 10], help="N")
    parser.add_argument("--steps", type=cli.positive, default=10, help="calls of the U-Net in a trajectory, at least 2")
    parser.add_argument("--repeats", type=cli.positive, default=5, help="timed trajectories after a warm-up")
    parser.add_argument("--modes", nargs="+", default=["eager"], choices=MODES)
    parser.add_argument(
        "--limit",
        type=cli.positive_number,
        default=math.inf,
        metavar="SECONDS",
        help="of timed trajectories of a batch, after which no repetition begins",
    )
    parser.add_argument("--no-profiles", action="store_true", help="leave out waits and memory, which take the longest")
    parser.add_argument("--no-plugin", action="store_true", help="leave the authors' plug-in out")
    parser.add_argument("--reuses", nargs="+", default=["hold"], help="hold, forecast1, ...")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--channels-last", action="store_true", help="keep channels last in memory, in all rows")
    parser.add_argument("--seed", type=cli.natural, default=0, help="of weights and noise")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="CSV")
    parser.add_argument(
        "--operations", type=cli.output_file(), metavar="CSV", help="where the time of a step goes, too"
    )
    cli.run(main, parser)
