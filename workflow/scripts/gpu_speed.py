"""Time the paper's U-Nets at their own sizes on a GPU, the most important first; a CSV that grows after each.

It needs about as many minutes as are lent: end it when you like, what it wrote stays. Nothing is downloaded.
"""

from deepcache import cli
from deepcache.errors import DeepCacheError


def main(arguments) -> None:
    """Measure round after round of the plan in deepcache/cost/speed_rounds.py."""
    import torch

    from deepcache.cost.speed_rounds import DRY_PLAN, GPU_PLAN, measure_rounds
    from deepcache.devices import choose_device
    from deepcache.results.latency import COLUMNS, write_table

    torch.set_num_threads(arguments.threads)
    plan = DRY_PLAN if arguments.dry else GPU_PLAN
    device = choose_device("cpu" if arguments.dry else arguments.device)
    failures = measure_rounds(plan, device, lambda rows: write_table(arguments.output, rows, COLUMNS))
    if failures:
        raise DeepCacheError(f"not measured: {'; '.join(failures)}")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--dry", action="store_true", help="small models on the CPU")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="CSV")
    cli.run(main, parser)
