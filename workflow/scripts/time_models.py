"""Time sampling with several methods, interleaved in one process, on an otherwise idle machine.

Writes throughput (images/s) and the spread of the repetitions for each variant, model/sampler/method.
"""

from functools import partial

from deepcache import cli

GIVEN = ("checkpoints", "precision", "prompts", "negative-prompts", "plans")  # by model, or by variant


def main(arguments) -> None:
    """Load each model once and time whole trajectories."""
    import torch

    from deepcache.caching.execution import execution_of
    from deepcache.cost.variants import Variants, measure_variants, timed_values
    from deepcache.devices import choose_device
    from deepcache.files import write_json
    from deepcache.progress import progress
    from deepcache.provenance import provenance

    torch.set_num_threads(arguments.threads)
    device, size = choose_device(arguments.device), arguments.batch_size
    given = {name: cli.pairs(f"--{name}", getattr(arguments, name.replace("-", "_"))) for name in GIVEN}
    make = partial(Variants, *given.values(), size, device)
    names, repeats, execution = arguments.variants, arguments.repeats, execution_of(arguments.execution)
    with progress(None, "timing", unit="run", total=len(names) * (repeats + 1)) as bar:
        found, mode = measure_variants(names, repeats, device, make, execution, lambda name: bar.update())
    timed = {"batch_size": size, "repeats": repeats, "execution": mode, "variants": timed_values(found, size)}
    write_json(arguments.output, {**timed, **provenance(device)})


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoints", required=True, nargs="+", metavar="MODEL=JSON", help="models' manifests")
    parser.add_argument(
        "--variants", required=True, nargs="+", metavar="MODEL/SAMPLER/METHOD", help="digits-ddpm/ddim-100/full ..."
    )
    parser.add_argument("--precision", nargs="*", default=[], metavar="MODEL=PRECISION", help="float32, float16, ...")
    parser.add_argument("--prompts", nargs="*", default=[], metavar="MODEL=JSON", help="manifests of prompts")
    parser.add_argument(
        "--negative-prompts", nargs="*", default=[], metavar="MODEL=TEXT", help="what guidance leads away from"
    )
    parser.add_argument("--plans", nargs="*", default=[], metavar="VARIANT=JSON", help="plans of chosen schedules")
    parser.add_argument("--batch-size", type=cli.positive, default=8, help="images in a trajectory")
    parser.add_argument("--repeats", type=cli.positive, default=5, help="timed repetitions after a warm-up")
    cli.add_device_options(parser)
    cli.add_execution_option(parser)
    parser.add_argument("--output", required=True, type=cli.output_file(), metavar="JSON")
    cli.run(main, parser)
