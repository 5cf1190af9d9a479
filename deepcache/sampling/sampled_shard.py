"""Sampling the images of one shard."""

import math
from pathlib import Path

from deepcache.files import sha256
from deepcache.progress import progress
from deepcache.provenance import provenance
from deepcache.sampling.batches import Sampled, sample_batches
from deepcache.sampling.request import Request
from deepcache.sampling.shards import write_shard


def sample_shard(
    request: Request, path: Path, shard: int, shard_size: int, batch_size: int, plan: Path | None = None
) -> Sampled:
    """Sample the images of a shard and write them.

    Args:
        request: with what.
        path: where the shard is written, npz.
        shard: i; it holds images i * shard_size to (i + 1) * shard_size - 1.
        shard_size: S.
        batch_size: the most that are sampled at a time.
        plan: the file behind the request's schedule, of which the shard records the checksum.

    Raises:
        DeepCacheError: as from `sample_batches`.
    """
    indices = range(shard * shard_size, (shard + 1) * shard_size)
    calls = math.ceil(len(indices) / batch_size) * request.model.num_steps(request.sampler)
    name = f"{request.manifest['name']} {request.method.slug} shard {shard}"
    applied = request.caching.applied(request.model.unet, request.execution)
    with applied as cache, progress(None, name, unit="step", total=calls) as bar:

        def make_images(batch):
            if cache is not None:
                cache.start_trajectory()
            return request.model.make_images(batch, request.seed, request.sampler, lambda step: bar.update())

        sampled = sample_batches(make_images, indices, batch_size)
        mode = "eager" if cache is None else cache.mode
    full_steps = request.caching.full_steps
    settings = {
        "checkpoint": request.manifest["sha256"],
        "sampler": request.sampler.slug,
        "method": request.method.slug,
        "full_steps": None if full_steps is None else list(full_steps),
        "plan": plan and sha256(plan),
        "seed": request.seed,
        "shard_size": shard_size,
        "batch_size": batch_size,
        "precision": request.precision,
        "compiled": request.execution.compile,  # which rounds otherwise; a replay does not
        "prompts": request.prompts and request.prompts.fingerprint,
    }
    if request.prompts is not None and request.prompts.negative is not None:  # runs without stay what they were
        settings["negative_prompt"] = request.prompts.negative
    seconds = round(sampled.seconds, 3)
    made = {"weights": request.manifest["source"], "seconds": seconds, "batch_sizes": sampled.batch_sizes}
    write_shard(path, sampled.images, settings, {**made, "execution": mode, **provenance(request.device)})
    return sampled
