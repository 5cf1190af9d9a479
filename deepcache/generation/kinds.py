"""What a checkpoint, alone or with a second one, makes: which options it takes, and what is usual for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.generation.model_index import REFINES, index_at
from deepcache.sampler import GUIDANCE_SCALE, NAMES

STABLE_DIFFUSION, SDXL = (
    tuple(f"StableDiffusion{size}{task}Pipeline" for task in ("", "Img2Img", "Inpaint")) for size in ("", "XL")
)
REFINER = "StableDiffusionXLImg2ImgPipeline"


@dataclass(frozen=True)
class Kind:
    """A kind of checkpoint.

    Attributes:
        label: in messages.
        pipelines: names of diffusers' that its model_index.json may have.
        needs: the option that it makes nothing without.
        takes: the other options that not every kind takes.
        usual: values where an option is not given.
        samplers: those that it goes with.
    """

    label: str
    pipelines: tuple[str, ...]
    needs: str
    takes: tuple[str, ...]
    usual: Mapping[str, str | float]
    samplers: tuple[str, ...] = NAMES


IMAGES = Kind(
    "Stable Diffusion by itself",
    (*STABLE_DIFFUSION, *SDXL),
    "prompts",
    ("images", "masks", "strength", "negative_prompt", "plan", "speedup", "exported"),
    {"sampler": "plms", "steps": 50, "guidance_scale": GUIDANCE_SCALE},
)
REFINED = Kind(
    "SDXL with a refiner",
    SDXL,
    "prompts",
    ("negative_prompt", "handover"),
    {"sampler": "euler", "steps": 50, "guidance_scale": GUIDANCE_SCALE, "handover": 0.8},
    tuple(name for name in NAMES if name not in ("plms", "pndm")),  # which cannot begin where the base ends
)
ANIMATEDIFF = Kind(
    "AnimateDiff",
    ("AnimateDiffPipeline",),
    "prompts",
    ("negative_prompt", "frames"),
    {"sampler": "ddim", "steps": 50, "guidance_scale": GUIDANCE_SCALE, "frames": 16},
)
STABLE_VIDEO = Kind(
    "Stable Video Diffusion",
    ("StableVideoDiffusionPipeline",),
    "images",
    ("frames", "fps"),
    {"sampler": "euler", "steps": 25, "guidance_scale": 3.0, "fps": 7},
    ("euler",),
)
KINDS = (IMAGES, REFINED, ANIMATEDIFF, STABLE_VIDEO)
PIPELINES = (*IMAGES.pipelines, *ANIMATEDIFF.pipelines, *STABLE_VIDEO.pipelines)


def kind_of(checkpoint: Path, refiner: Path | None = None, motion_adapter: Path | None = None) -> Kind:
    """The kind of a checkpoint; IMAGES where it cannot be read, which who loads it refuses.

    Args:
        checkpoint: a folder in diffusers' format, or a manifest.
        refiner: likewise, of what goes on from its latents.
        motion_adapter: folder of the motion modules that are put into it.

    Raises:
        DeepCacheError: if they do not go together.
    """
    index = index_at(checkpoint)
    name = index.get("_class_name")
    if refiner is not None:
        if motion_adapter is not None:
            raise DeepCacheError("--motion-adapter: a refiner goes on from images alone: leave one of the two out")
        if index and (name not in SDXL or index.get(REFINES)):
            is_now = "refiner itself" if index.get(REFINES) else name
            raise DeepCacheError(f"--refiner: {checkpoint} is a {is_now}: give an SDXL base as --checkpoint")
        _check_refines(refiner)
        return REFINED
    if motion_adapter is not None:
        if index and name not in STABLE_DIFFUSION:
            raise DeepCacheError(f"--motion-adapter: it goes into Stable Diffusion 1 and 2, not {name}: leave it out")
        return ANIMATEDIFF
    return next((kind for kind in (ANIMATEDIFF, STABLE_VIDEO) if name in kind.pipelines), IMAGES)


def _check_refines(refiner: Path) -> None:
    index = index_at(refiner)
    if index and not (index["_class_name"] == REFINER or index.get(REFINES)):
        raise DeepCacheError(f"--refiner {refiner}: a {index['_class_name']} refines none: give one of {REFINER}")
