"""What is asked for: prompts, pictures, sampler, size, frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepcache.data.pictures import check_pictures
from deepcache.errors import DeepCacheError
from deepcache.sampler import GUIDANCE_SCALE, check_name


@dataclass(frozen=True)
class Request:
    """What to make; image or video j is repetition j % num_images of prompt, or picture, j // num_images.

    Attributes:
        prompts: none is empty; None where pictures alone become videos.
        images: files to begin with, one for each prompt or one for all; without prompts one for each video.
        masks: files as well, white where the image is repainted; None is no inpainting.
        sampler: one of deepcache.sampler.NAMES.
        steps: of the whole trajectory; with images, the last `strength` of them run.
        strength: share of the noise that an image is given, above 0 and at most 1; None without images or prompts.
        guidance_scale: of classifier-free guidance; up to 1 there is none. Of videos from pictures, the last frame's.
        negative_prompt: what guidance leads away from.
        height: in pixels; None is the checkpoint's. Images and masks are resized.
        width: likewise.
        num_images: images or videos for each prompt or picture.
        seed: with j it decides the noise of image j.
        handover: share of the denoising after which a refiner goes on, between 0 and 1; None: there is no refiner.
        frames: of a video; None where images are made, and from pictures as many as the checkpoint was trained for.
        fps: frames a second, with which a checkpoint for videos from pictures is conditioned, too; None for others.

    Raises:
        DeepCacheError: if one of them is out of range or does not go with another.
    """

    prompts: Sequence[str] | None
    images: list[Path] | None = None
    masks: list[Path] | None = None
    sampler: str = "plms"
    steps: int = 50
    strength: float | None = None
    guidance_scale: float = GUIDANCE_SCALE
    negative_prompt: str | None = None
    height: int | None = None
    width: int | None = None
    num_images: int = 1
    seed: int = 0
    handover: float | None = None
    frames: int | None = None
    fps: int | None = None

    def __post_init__(self):
        check_name(self.sampler)
        if not math.isfinite(self.guidance_scale):
            raise DeepCacheError(f"guidance scale must be a finite number, not {self.guidance_scale}")
        if self.seed < 0:
            raise DeepCacheError(f"seed must be at least 0, not {self.seed}")
        if self.masks is not None and self.images is None:
            raise DeepCacheError("masks need images, which they belong to: give both, or no masks")
        if self.images is None and self.strength is not None:
            raise DeepCacheError("strength says how much an image is changed: give images, or leave it out")
        changes = self.images is not None and self.prompts is not None
        if changes and not (self.strength is not None and 0 < self.strength <= 1):
            raise DeepCacheError(f"strength must be above 0 and at most 1, not {self.strength}")
        if self.negative_prompt is not None and self.guidance_scale <= 1:
            raise DeepCacheError("a negative prompt acts through guidance: give a guidance scale above 1")
        if self.handover is not None and not 0 < self.handover < 1:
            raise DeepCacheError(f"handover must be above 0 and below 1, not {self.handover}")
        if self.images is not None:
            check_pictures(self.images, self.masks, len(self.images if self.prompts is None else self.prompts))

    def __len__(self) -> int:
        return len(self.images if self.prompts is None else self.prompts) * self.num_images

    @property
    def task(self) -> str:
        """A name in TASKS."""
        if self.prompts is None:
            return "image-to-video"
        if self.frames is not None:
            return "text-to-video"
        if self.images is None:
            return "text-to-image"
        return "image-to-image" if self.masks is None else "inpainting"

    def prompt_of(self, index: int) -> int:
        """Index of the prompt of image `index`; without prompts, of the picture."""
        return index // self.num_images
