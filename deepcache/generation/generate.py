"""Making the images of a request that are missing in a folder, with or without caching."""

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from deepcache.caching.engine import DeepCache
from deepcache.caching.execution import Execution
from deepcache.caching.fingerprint import fingerprint
from deepcache.caching.plan import Plan
from deepcache.errors import DeepCacheError
from deepcache.export.exported_unet import ExportedUNet
from deepcache.generation.checkpoints import find_checkpoint, load_pipeline
from deepcache.generation.generation import Generation
from deepcache.generation.image_folder import ImageFolder
from deepcache.generation.request import Request
from deepcache.methods.method import Method
from deepcache.methods.schedule import Place
from deepcache.progress import progress
from deepcache.provenance import provenance
from deepcache.sampling.families import PRECISIONS


@dataclass(frozen=True)
class Source:
    """Where a pipeline comes from.

    Attributes:
        checkpoint: a folder in diffusers' format, or a manifest.
        variant: of the weights, see `find_checkpoint`.
        exported: folder of the checkpoint's exported U-Net, which runs in place of its own.
    """

    checkpoint: Path
    variant: str | None = None
    exported: Path | None = None

    def load(self, task: str, device: torch.device, precision: str) -> tuple[DiffusionPipeline, dict]:
        """The pipeline of a task, and what of it decides images: the SHA-256 of its weights, what runs its U-Net.

        Raises:
            DeepCacheError: if it cannot be loaded, or the exported U-Net is of other weights.
        """
        folder, checksums = find_checkpoint(self.checkpoint, self.variant)
        pipeline = load_pipeline(folder, task, device, PRECISIONS[precision], self.variant)
        if getattr(pipeline, "safety_checker", None) is not None:
            print(f"{self.checkpoint}: its safety checker is on: an image that it flags becomes black", file=sys.stderr)
        if self.exported is None:
            return pipeline, {"checkpoint": checksums}
        unet = ExportedUNet(self.exported)
        if precision == "bfloat16":  # it keeps too few digits to tell weights from others
            raise DeepCacheError("--precision bfloat16: an exported U-Net goes with float32 and float16")
        if unet.fingerprint != fingerprint(pipeline.unet):
            raise DeepCacheError(
                f"--exported {self.exported}: it is of other weights than the checkpoint's: export them"
            )
        pipeline.unet = unet
        return pipeline, {"checkpoint": checksums, "exported": unet.runtime}


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
    """Make what is missing of a request's images, and say how long it took.

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
    pipeline, origin = source.load(request.task, device, precision)
    generation = Generation(pipeline, request)
    if isinstance(pipeline.unet, ExportedUNet):
        _check_fits(pipeline, generation, request, batch_size)
    caching = _Caching.of(plan, method, pipeline, generation, execution)
    settings = {**origin, **generation.settings(), "method": caching.name}
    settings |= {"batch_size": batch_size, "precision": precision, "compiled": execution.compile}
    about = {"prompts": list(request.prompts), "unet_calls": generation.unet_calls}
    about["full_steps"] = list(caching.full_steps)
    with caching.applied:
        images = ImageFolder(output, settings, about, len(request))
        missing = set(images.missing())
        if len(missing) < len(request):
            there = len(request) - len(missing)
            print(f"{output}: {there} of {len(request)} images are there already", file=sys.stderr)
        if missing:
            images.begin(provenance(device))
            made, seconds = _make(generation, images, _batches(len(request), batch_size, missing), caching.name)
            calls, full = generation.unet_calls, len(caching.full_steps)
            print(
                f"{made} images in {seconds:.1f} s, {made / seconds:.3g} images/s, "
                f"{full} of {calls} steps full ({full / calls:.0%})",
                file=sys.stderr,
            )


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


@dataclass(frozen=True)
class _Caching:
    """How the U-Net runs: a name that decides the images, the steps that are full, a context in which it does."""

    name: str
    full_steps: Sequence[int]
    applied: AbstractContextManager

    @classmethod
    def of(
        cls, plan: Plan | None, method: Method, pipeline, generation: Generation, execution: Execution
    ) -> "_Caching":
        if plan is not None:
            # Its sampler and steps are the request's, see `Generation`.
            if execution.graph != "auto":
                plan = replace(plan, execution=execution.name)
            caching = DeepCache.from_plan(pipeline, plan)
            return cls(f"plan {plan.digest}", plan.full_steps, caching)
        caching = method.resolve(Place(generation.steps, method.branch))
        if caching.full_steps is None:
            raise DeepCacheError(f"{method.slug} decides while it samples; generate.py needs full steps that are known")
        # PLMS repeats a call that no schedule counts; without caching it is full, too.
        full_steps = caching.full_steps if method.caches else range(generation.unet_calls)
        return cls(method.slug, full_steps, caching.applied(pipeline, execution))


def _batches(count: int, batch_size: int, missing: set[int]) -> list[range]:
    """A batch is made again as a whole, since rounding depends on what is in it; then its missing images are kept."""
    batches = [range(count)[i : i + batch_size] for i in range(0, count, batch_size)]
    return [batch for batch in batches if missing.intersection(batch)]


def _make(generation: Generation, images: ImageFolder, batches: list[range], name: str) -> tuple[int, float]:
    """Make the batches; how many images, in how many seconds."""
    start = time.perf_counter()
    total = len(batches) * generation.unet_calls
    with progress(None, f"images {name}", unit="step", total=total) as bar:
        for batch in batches:
            images.add(batch, generation.sample(batch, lambda step: bar.update()), time.perf_counter() - start)
    return sum(map(len, batches)), time.perf_counter() - start
