"""Making what is missing of a request in a folder, with or without caching."""

import sys
import time
from pathlib import Path

import torch

from deepcache.caching.execution import Execution
from deepcache.caching.plan import Plan
from deepcache.errors import DeepCacheError
from deepcache.export.exported_unet import ExportedUNet
from deepcache.generation.caching import Caching
from deepcache.generation.generation import Generation
from deepcache.generation.image_folder import ImageFolder
from deepcache.generation.request import Request
from deepcache.generation.source import Source
from deepcache.methods.method import Method
from deepcache.progress import progress
from deepcache.provenance import provenance


def generate(
    source: Source,
    request: Request,
    method: Method,
    output: Path,
    device: torch.device,
    precision: str,
    batch_size: int,
    execution: Execution,
    plan: Plan | None = None,
) -> None:
    """Make what is missing of a request's images or videos, and say how long it took.

    Args:
        source: what makes them.
        request: what to make.
        method: how the U-Net is cached.
        output: folder of the images and of the record of how they were made.
        device: where the pipeline runs.
        precision: of weights and activations, a name in PRECISIONS.
        batch_size: images made at a time.
        execution: how the U-Net's passes run.
        plan: followed in place of the method; the request has its sampler, steps and guidance scale.

    Raises:
        DeepCacheError: if the checkpoint cannot make them, the plan is for other weights, or the folder holds
            something else.
    """
    generation, origin = source.open(request, device, precision)
    pipeline = generation.stages[0].pipeline
    if isinstance(pipeline.unet, ExportedUNet):
        _check_fits(pipeline, generation, request, batch_size)
    caching = Caching.of(method, generation.stages, execution, plan)
    settings = {**origin, **generation.settings(), "method": caching.name}
    settings |= {"batch_size": batch_size, "precision": precision, "compiled": execution.compile}
    about = {"prompts": request.prompts and list(request.prompts), **caching.counts}
    with caching.applied():
        images = ImageFolder(output, settings, about, len(request), generation.fps)
        missing = set(images.missing())
        if len(missing) < len(request):
            there = len(request) - len(missing)
            print(f"{output}: {there} of {len(request)} {images.what} are there already", file=sys.stderr)
        if missing:
            images.begin(provenance(device))
            made, seconds = _make(generation, images, _batches(len(request), batch_size, missing), caching.name)
            speed = f"{made} {images.what} in {seconds:.1f} s, {made / seconds:.3g} {images.what}/s"
            print(f"{speed}, {caching.share}", file=sys.stderr)


def _check_fits(pipeline, generation: Generation, request: Request, batch_size: int) -> None:
    """DeepCacheError unless an exported U-Net is for these batches, all of them, and this size."""
    batch, _, height, width = pipeline.unet.inputs["sample"]
    if len(request) % batch_size:
        raise DeepCacheError(
            f"--batch-size {batch_size}: an exported U-Net takes whole batches, and {len(request)} images leave a rest"
        )
    factor, halves = pipeline.vae_scale_factor, 2 if request.guidance_scale > 1 else 1
    asked = halves * batch_size, generation.height // factor, generation.width // factor
    if asked != (batch, height, width):
        raise DeepCacheError(
            f"--exported: the U-Net is called with {asked[0]} latents of {asked[1]}x{asked[2]}, and was exported for "
            f"{batch} of {height}x{width}: export it for that batch, guidance and size"
        )


def _batches(count: int, batch_size: int, missing: set[int]) -> list[range]:
    """A batch is made again as a whole, since rounding depends on what is in it; then its missing images are kept."""
    batches = [range(count)[i : i + batch_size] for i in range(0, count, batch_size)]
    return [batch for batch in batches if missing.intersection(batch)]


def _make(generation: Generation, images: ImageFolder, batches: list[range], name: str) -> tuple[int, float]:
    """Make the batches; how many images, in how many seconds."""
    start = time.perf_counter()
    total = len(batches) * generation.unet_calls
    with progress(None, f"{images.what} {name}", unit="step", total=total) as bar:
        for batch in batches:
            images.add(batch, generation.sample(batch, lambda step: bar.update()), time.perf_counter() - start)
    return sum(map(len, batches)), time.perf_counter() - start
