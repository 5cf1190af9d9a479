"""Time sampling with several methods, interleaved in one process, on an otherwise idle machine.

Writes throughput (images/s) and the spread of the repetitions for each variant, model/sampler/method.
"""

from pathlib import Path

from deepcache import cli
from deepcache.runs.method import Method
from deepcache.runs.sampler import Sampler


def main(arguments) -> None:
    """Load each model once and time whole trajectories."""
    import torch

    from deepcache.beyond.caching.plan import read_plan
    from deepcache.cost.timing import measure
    from deepcache.data.manifests import read_prompts
    from deepcache.devices import choose_device
    from deepcache.errors import DeepCacheError
    from deepcache.files import write_json
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.sampling.caching import cached
    from deepcache.sampling.families import load_model

    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    given = (arguments.checkpoints, arguments.precision, arguments.prompts, arguments.plans)
    manifests, precisions, prompts, plans = (dict(pair.split("=", 1) for pair in pairs) for pairs in given)

    models = {}

    def load(name: str):
        # Models that differ in their prompts alone share the weights: every prompt takes as long.
        key = manifests[name], precisions.get(name, "float32")
        if key not in models:
            texts = read_prompts(prompts[name]) if name in prompts else None
            models[key] = load_model(open_checkpoint(manifests[name])[0], device, key[1], texts)
        return models[key]

    def trajectory(variant: str):
        name, sampler, method = variant.split("/")
        if name not in manifests:
            raise DeepCacheError(f"--variants {variant}: no --checkpoints {name}=...")
        model, sampler, method = load(name), Sampler.parse(sampler), Method.parse(method)
        plan = None
        if variant in plans:
            plan = read_plan(plans[variant], open_checkpoint(manifests[name])[1], sampler.slug, method.branch)

        def run() -> None:
            with cached(model.unet, method, sampler, plan):
                model.sample(range(arguments.batch_size), 0, sampler)

        return run

    variants = {variant: trajectory(variant) for variant in arguments.variants}
    total = len(variants) * (arguments.repeats + 1)
    with progress(None, "timing", unit="run", total=total) as bar:
        found = measure(variants, arguments.repeats, device, lambda name: bar.update())
    write_json(
        arguments.output,
        {
            "batch_size": arguments.batch_size,
            "repeats": arguments.repeats,
            "variants": {
                variant: {
                    "throughput": arguments.batch_size / one.median,
                    "seconds": [round(value, 6) for value in one.seconds],
                    "spread": one.spread,
                }
                for variant, one in found.items()
            },
            **provenance(device),
        },
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoints", required=True, nargs="+", metavar="MODEL=JSON", help="models' manifests")
    parser.add_argument(
        "--variants", required=True, nargs="+", metavar="MODEL/SAMPLER/METHOD", help="digits-ddpm/ddim-100/full ..."
    )
    parser.add_argument("--precision", nargs="*", default=[], metavar="MODEL=PRECISION", help="float32, float16, ...")
    parser.add_argument("--prompts", nargs="*", default=[], metavar="MODEL=JSON", help="manifests of prompts")
    parser.add_argument("--plans", nargs="*", default=[], metavar="VARIANT=JSON", help="plans of chosen schedules")
    parser.add_argument("--batch-size", type=cli.positive, default=8, help="images in a trajectory")
    parser.add_argument("--repeats", type=cli.positive, default=5, help="timed repetitions after a warm-up")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="JSON")
    cli.run(main, parser)
