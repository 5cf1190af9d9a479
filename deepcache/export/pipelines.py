"""Exporting the U-Net of a pipeline: what it is called with, and what its passes take."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from deepcache.caching.cut_unet import CutUNet
from deepcache.caching.execution import Execution
from deepcache.cost.timing import measure
from deepcache.errors import DeepCacheError, reason
from deepcache.export.export import export_unet
from deepcache.export.exported_unet import ExportedUNet

REPEATS = 10


@dataclass(frozen=True)
class Exported:
    """What came of it.

    Attributes:
        unet: the exported U-Net.
        difference: see `export_unet`.
        seconds: medians, of `full` and `shallow`: (the pipeline's own U-Net, exported).
    """

    unet: ExportedUNet
    difference: dict[str, float]
    seconds: dict[str, tuple[float, float]]


class _Seen(Exception):
    """The call that was looked for was made."""


def call_of(pipe: DiffusionPipeline, batch_size: int, **call) -> tuple[tuple, dict]:
    """Arguments with which a text-to-image pipeline calls its U-Net.

    Args:
        pipe: it is left as it was.
        batch_size: images at a time; the U-Net's batch is twice as large with guidance.
        call: arguments of the pipeline's call, such as `guidance_scale` and `height`.

    Raises:
        DeepCacheError: if it cannot be called so.
    """
    found = []

    def see(module, args: tuple, kwargs: dict) -> None:
        found.append((args, kwargs))
        raise _Seen

    handle = pipe.unet.register_forward_pre_hook(see, with_kwargs=True)
    try:
        with suppress(_Seen), torch.no_grad():
            pipe([""] * batch_size, num_inference_steps=2, output_type="latent", **call)
    except ValueError as error:  # diffusers checks its arguments
        raise DeepCacheError(f"{type(pipe).__name__} cannot be called so: {reason(error)}") from error
    finally:
        handle.remove()
    return found[0]


@torch.no_grad()
def export_pipeline(
    pipe: DiffusionPipeline,
    branch: int,
    folder: Path,
    runtime: str,
    batch_size: int,
    on_stage: Callable[[str], None] = lambda stage: None,
    **call,
) -> Exported:
    """Export the U-Net of a text-to-image pipeline; see `export_unet`, and `call_of` for the arguments.

    Raises:
        DeepCacheError: as both of them.
    """
    args, kwargs = call_of(pipe, batch_size, **call)
    on_stage("exporting and comparing")
    exported, difference = export_unet(pipe.unet, branch, args, kwargs, folder, runtime)
    on_stage("timing")
    own, features = CutUNet(pipe.unet, branch, pipe.unet.forward, Execution(), True), []
    try:
        own.full(args, kwargs, features.append)
        (feature,) = features
        runs = {
            "full": lambda: own.full(args, kwargs, lambda feature: None),
            "full exported": lambda: exported.full(args, kwargs),
            "shallow": lambda: own.shallow(feature, args, kwargs),
            "shallow exported": lambda: exported.shallow(feature, args, kwargs),
        }
        timed = measure(runs, REPEATS, pipe.unet.device)
    finally:
        own.remove()
    seconds = {name: (timed[name].median, timed[f"{name} exported"].median) for name in ("full", "shallow")}
    return Exported(exported, difference, seconds)
