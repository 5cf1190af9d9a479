"""Time U-Nets of the paper's models and others with random weights: uncached, cached, with the authors' plug-in.

All ways to run one model are timed in turn in one process, so slow changes of the machine's speed touch all alike.
Nothing is downloaded. A row's speed-up is to the same mode without caching; `efficiency` is that over MACs' ratio.
"""

from pathlib import Path

from deepcache import cli


def main(arguments) -> None:
    """Measure one model after another; write a row for each way to run it, and where the time of its steps goes."""
    import pandas as pd
    import torch

    from deepcache.devices import choose_device
    from deepcache.errors import DeepCacheError
    from deepcache.files import atomic
    from deepcache.models.benchmarked import BENCHMARKED
    from deepcache.provenance import device_name, git_commit
    from deepcache.results.latency import COLUMNS, OPERATION_COLUMNS

    for name in arguments.models:
        if name not in BENCHMARKED:
            raise DeepCacheError(f"--models: {name} is none of {', '.join(BENCHMARKED)}")
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    made = {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "precision": arguments.precision,
        "channels_last": arguments.channels_last,
        "torch": torch.__version__,
        "commit": git_commit(),
    }
    rows, operations = [], []
    for name in arguments.models:
        for found in measure_model(arguments, name, device):
            rows += [{**made, **row} for row in found[0]]
            operations += [{**made, **row} for row in found[1]]
    with atomic(arguments.output) as temporary:
        pd.DataFrame(rows)[COLUMNS].to_csv(temporary, index=False)
    if arguments.operations is not None:
        with atomic(arguments.operations) as temporary:
            pd.DataFrame(operations)[OPERATION_COLUMNS].to_csv(temporary, index=False)


def measure_model(arguments, name, device):
    """Yield for each batch the rows of all ways to run one model, and of its operations where they are wanted."""
    import torch

    from deepcache.cost.latency import Costs, compare_speed, make_variants
    from deepcache.cost.macs import branch_macs
    from deepcache.cost.operations import step_operations
    from deepcache.errors import DeepCacheError
    from deepcache.models.benchmarked import BENCHMARKED, random_inputs, random_unet
    from deepcache.models.dummy_inputs import dummy_inputs
    from deepcache.progress import progress
    from deepcache.provenance import device_name
    from deepcache.sampling.families import PRECISIONS

    one = BENCHMARKED[name]
    bare = one.build()
    # A batch of one: the ratio does not depend on it.
    single = dummy_inputs(bare, 1, arguments.resolution, "meta", tokens=one.tokens)
    costs = Costs(*branch_macs(bare, one.branch, single))
    with_attention = Costs(*branch_macs(bare, one.branch, single, attention=True))
    left = {"macs_left": costs.shallow / costs.full, "with_attention": with_attention.shallow / with_attention.full}
    unet = random_unet(bare, arguments.seed, device, PRECISIONS[arguments.precision], arguments.channels_last)
    for batch in arguments.batches:
        inputs = random_inputs(unet, batch, one, arguments.resolution, arguments.seed, arguments.channels_last)
        latent = "x".join(map(str, inputs["sample"].shape[1:]))
        place = {"model": name, "batch": batch, "branch": one.branch, "latent": latent, "guided": one.guided}
        try:
            variants = make_variants(
                unet,
                one.branch,
                inputs,
                arguments.steps,
                arguments.intervals,
                arguments.modes,
                arguments.reuses,
                plugin=not arguments.no_plugin,
            )
            total = len(variants) * (arguments.repeats + 1)
            with progress(None, f"{name} batch {batch}", unit="run", total=total) as bar:
                rows = compare_speed(
                    variants, costs, arguments.steps, arguments.repeats, device, lambda _, bar=bar: bar.update()
                )
            operations = []
            if arguments.operations is not None:
                operations = step_operations(unet, one.branch, inputs, arguments.repeats, device)
        except torch.OutOfMemoryError as error:
            raise DeepCacheError(
                f"{name} at batch {batch} does not fit into the memory of {device_name(device)}: lower its batches"
            ) from error
        times = {"steps": arguments.steps, "repeats": arguments.repeats}
        yield (
            [{**place, **times, **_for_an_image(row, batch)} for row in rows],
            [{**place, **row, **left} for row in operations],
        )


def _for_an_image(row: dict, batch: int) -> dict:
    from statistics import median

    seconds = [one / batch for one in row["seconds"]]
    return {
        **row,
        "seconds_per_image": median(seconds),
        "seconds_low": min(seconds),
        "seconds_high": max(seconds),
    }


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
    parser.add_argument("--modes", nargs="+", default=["eager"], choices=["eager", "compile", "graph"])
    parser.add_argument("--no-plugin", action="store_true", help="leave the authors' plug-in out")
    parser.add_argument("--reuses", nargs="+", default=["hold"], help="hold, forecast1, ...")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--channels-last", action="store_true", help="keep channels last in memory, in all rows")
    parser.add_argument("--seed", type=int, default=0, help="of weights and noise")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="CSV")
    parser.add_argument("--operations", type=Path, metavar="CSV", help="where the time of a step goes, too")
    cli.run(main, parser)
