"""Where the pipelines of a request come from."""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DiffusionPipeline

from deepcache.caching.fingerprint import fingerprint
from deepcache.errors import DeepCacheError
from deepcache.export.exported_unet import ExportedUNet
from deepcache.generation.checkpoints import find_checkpoint, load_pipeline
from deepcache.generation.generation import Generation
from deepcache.generation.kinds import PIPELINES
from deepcache.generation.motion import load_animated
from deepcache.generation.refined import Refined
from deepcache.generation.request import Request
from deepcache.generation.video import ImageToVideo, TextToVideo
from deepcache.sampling.families import PRECISIONS

SHARED = ("vae", "text_encoder_2")  # which SDXL's refiner has of its base
VIDEOS = {"text-to-video": TextToVideo, "image-to-video": ImageToVideo}


@dataclass(frozen=True)
class Source:
    """What makes the images or videos of a request.

    Attributes:
        checkpoint: a folder in diffusers' format, or a manifest.
        variant: of the weights, see `find_checkpoint`.
        exported: folder of the checkpoint's exported U-Net, which runs in place of its own.
        refiner: likewise a checkpoint, of SDXL's refiner, which goes on from its latents.
        motion_adapter: folder of the motion modules that are put into it.
    """

    checkpoint: Path
    variant: str | None = None
    exported: Path | None = None
    refiner: Path | None = None
    motion_adapter: Path | None = None

    def open(self, request: Request, device: torch.device, precision: str) -> tuple[Generation, dict]:
        """What makes a request, and what of it decides the result: the SHA-256 of weights, what runs the U-Net.

        Raises:
            DeepCacheError: if something cannot be loaded or cannot make it, or the exported U-Net is of other weights.
        """
        dtype = PRECISIONS[precision]
        folder, checksums = find_checkpoint(self.checkpoint, self.variant, PIPELINES)
        origin, refiner = {"checkpoint": checksums}, None
        if self.refiner is not None:  # before the base is loaded, which takes long
            refiner, origin["refiner"] = find_checkpoint(self.refiner, self.variant, PIPELINES)
        if self.motion_adapter is None:
            pipeline = load_pipeline(folder, request.task, device, dtype, self.variant)
        else:
            how = device, dtype, self.variant
            pipeline, origin["motion_adapter"] = load_animated(folder, self.motion_adapter, *how)
        if getattr(pipeline, "safety_checker", None) is not None:
            print(f"{self.checkpoint}: its safety checker is on: an image that it flags becomes black", file=sys.stderr)
        if self.exported is not None:
            origin["exported"] = self._run_exported(pipeline, precision)
        if refiner is None:
            return VIDEOS.get(request.task, Generation)(pipeline, request), origin
        shared = {part: getattr(pipeline, part) for part in SHARED if _is_same(part, (folder, refiner), origin)}
        second = load_pipeline(refiner, "image-to-image", device, dtype, self.variant, **shared)
        return Refined(pipeline, second, request), origin

    def _run_exported(self, pipeline: DiffusionPipeline, precision: str) -> str:
        """Put the exported U-Net in place of the pipeline's; what runs it."""
        unet = ExportedUNet(self.exported)
        if precision == "bfloat16":  # it keeps too few digits to tell weights from others
            raise DeepCacheError("--precision bfloat16: an exported U-Net goes with float32 and float16")
        if unet.fingerprint != fingerprint(pipeline.unet):
            raise DeepCacheError(
                f"--exported {self.exported}: it is of other weights than the checkpoint's: export them"
            )
        pipeline.unet = unet
        return unet.runtime


def _is_same(part: str, folders: tuple[Path, Path], origin: dict) -> bool:
    """Whether base and refiner have a part with the same config and weights: it is loaded once."""
    configs = [folder / part / "config.json" for folder in folders]
    weights = [
        {name: digest for name, digest in origin[whose].items() if name.startswith(f"{part}/")}
        for whose in ("checkpoint", "refiner")
    ]
    both = all(config.is_file() for config in configs) and all(weights)
    return both and weights[0] == weights[1] and configs[0].read_bytes() == configs[1].read_bytes()
