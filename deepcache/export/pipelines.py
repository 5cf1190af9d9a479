"""Exporting the U-Net of a pipeline: what it is called with, whether the passes agree, and what they take."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from deepcache.caching.cut_unet import CutUNet
from deepcache.caching.execution import Execution
from deepcache.cost.timing import measure
from deepcache.errors import DeepCacheError
from deepcache.export.exported_unet import ABOUT, ExportedUNet, export_unet

REPEATS = 10
AGREES = 1e-4  # of the largest value


@dataclass(frozen=True)
class Exported:
    """What came of it.

    Attributes:
        unet: the exported U-Net.
        difference: of `full`, `shallow` and `feature`: the largest from the pipeline's own U-Net, as a share of the
            largest value.
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
    """
    found = []

    def see(module, args: tuple, kwargs: dict) -> None:
        found.append((args, kwargs))
        raise _Seen

    handle = pipe.unet.register_forward_pre_hook(see, with_kwargs=True)
    try:
        with suppress(_Seen), torch.no_grad():
            pipe([""] * batch_size, num_inference_steps=2, output_type="latent", **call)
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
        DeepCacheError: as `export_unet`; or what was exported computes something else.
    """
    args, kwargs = call_of(pipe, batch_size, **call)
    on_stage("exporting")
    exported = export_unet(pipe.unet, branch, args, kwargs, folder, runtime)
    on_stage("comparing")
    own, features = CutUNet(pipe.unet, branch, pipe.unet.forward, Execution(), True), []
    try:
        wanted = _first(own.full(args, kwargs, features.append))
        (feature,) = features
        found, its_feature = exported.full(args, kwargs)
        pairs = {"full": (wanted, _first(found)), "feature": (feature, its_feature)}
        shallow = _first(own.shallow(feature, args, kwargs)), _first(exported.shallow(feature, args, kwargs))
        difference = {name: _share(*both) for name, both in (pairs | {"shallow": shallow}).items()}
        worst = max(difference, key=difference.get)
        if not difference[worst] <= AGREES:
            (Path(folder) / ABOUT).unlink()
            raise DeepCacheError(
                f"{folder}: the exported U-Net computes something else: {worst} differs by {difference[worst]:.1e}"
            )
        on_stage("timing")
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


def _first(output) -> torch.Tensor:
    return output[0]


def _share(wanted: torch.Tensor, found: torch.Tensor) -> float:
    return float((wanted - found.to(wanted)).abs().max() / wanted.abs().max())
