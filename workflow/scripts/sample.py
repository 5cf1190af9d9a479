"""Sample one shard of images with or without caching.

Shard i of size S holds images i*S to (i+1)*S - 1. The initial noise of image j depends on the seed and j alone, so
every method starts from the same noise.
"""

import math
import time
from pathlib import Path

from deepcache import cli
from deepcache.runs.method import Method
from deepcache.runs.sampler import Sampler


def main(arguments) -> None:
    """Load, sample in batches, write the shard."""
    import torch

    from deepcache.beyond.caching.plan import read_plan
    from deepcache.data.manifests import open_manifest, read_prompts
    from deepcache.devices import choose_device
    from deepcache.files import sha256
    from deepcache.models.checkpoints import open_checkpoint
    from deepcache.progress import progress
    from deepcache.provenance import provenance
    from deepcache.sampling.batches import sample_batches
    from deepcache.sampling.caching import cached
    from deepcache.sampling.families import load_model
    from deepcache.sampling.shards import write_shard

    started = time.perf_counter()
    sampler, method = Sampler.parse(arguments.sampler), Method.parse(arguments.method)
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    folder, manifest = open_checkpoint(arguments.checkpoint)
    plan = arguments.plan and read_plan(arguments.plan, manifest, sampler.slug, method.branch)
    full_steps = plan.full_steps if plan else method.full_steps(sampler.schedule_length)
    prompts = arguments.prompts and open_manifest(arguments.prompts)
    model = load_model(folder, device, arguments.precision, arguments.prompts and read_prompts(arguments.prompts))
    first = arguments.shard * arguments.shard_size
    indices = range(first, first + arguments.shard_size)
    name = f"{manifest['name']} {method.slug} shard {arguments.shard}"
    bar = progress(
        None, name, unit="step", total=math.ceil(len(indices) / arguments.batch_size) * model.num_steps(sampler)
    )
    with cached(model.unet, method, sampler, plan) as cache, bar:

        def make_images(batch):
            if cache is not None:
                cache.start_trajectory()
            return model.make_images(batch, arguments.seed, sampler, lambda step: bar.update())

        sampled = sample_batches(make_images, indices, arguments.batch_size)
    settings = {
        "checkpoint": manifest["sha256"],
        "sampler": sampler.slug,
        "method": method.slug,
        "full_steps": list(full_steps),
        "plan": plan and sha256(arguments.plan),
        "seed": arguments.seed,
        "shard_size": arguments.shard_size,
        "batch_size": arguments.batch_size,
        "precision": arguments.precision,
        "prompts": prompts and prompts["fingerprint"],
    }
    made = {"weights": manifest["source"], "seconds": round(sampled.seconds, 3), "batch_sizes": sampled.batch_sizes}
    write_shard(arguments.output, sampled.images, settings, {**made, **provenance(device)})
    taken, sizes = time.perf_counter() - started, sorted(set(sampled.batch_sizes), reverse=True)
    print(
        f"{name}: {len(sampled.images)} images in {sampled.seconds:.1f} s,"
        f" {sampled.seconds / taken:.0%} of the job's time; batches of {', '.join(map(str, sizes))}"
    )


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="JSON", help="the checkpoint's manifest")
    parser.add_argument("--sampler", default="ddim-100", help="such as ddim-100-quad, plms-50-cfg7.5")
    parser.add_argument("--method", default="full", help="such as full, uniform-n5-b2, chosen-n5-b2")
    parser.add_argument("--plan", type=Path, metavar="JSON", help="what calibrate.py wrote, for a chosen schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard", type=int, default=0, help="index of the shard")
    parser.add_argument("--shard-size", type=cli.positive, default=128, help="images in a shard")
    parser.add_argument("--batch-size", type=cli.positive, default=128, help="images sampled at a time")
    parser.add_argument("--precision", default="float32", choices=["float32", "float16", "bfloat16"])
    parser.add_argument("--prompts", type=Path, metavar="JSON", help="manifest of the prompts, for text-to-image")
    cli.add_device_options(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="NPZ")
    cli.run(main, parser)
