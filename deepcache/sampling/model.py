"""What every family of image models offers to the jobs that sample and time it."""

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.image_processor import VaeImageProcessor
from torch import nn

from deepcache.models.twins import twin
from deepcache.runs.families import PIXEL, Family
from deepcache.sampler import Sampler


class ImageModel(ABC):
    """A model whose `unet` can be cached and that makes the images of given indices.

    Attributes:
        unet: the U-Net.
        context_tokens: length of the context that it attends to; None where it has none, or CLIP's.
        latent_size: height and width of what it is called with; None: as its config says.
        family: which samplers it has, and whether it paints from prompts.
    """

    unet: torch.nn.Module
    context_tokens: int | None = None
    latent_size: tuple[int, int] | None = None
    family: Family = PIXEL

    @abstractmethod
    def make_latents(
        self, indices: Sequence[int], seed: int, sampler: Sampler, on_step: Callable[[int], None] = lambda step: None
    ) -> torch.Tensor:
        """Sample, up to what `decode` makes images of, where that is on with gradients.

        Their shape is (len(indices), C, h, w), of videos (len(indices), F, C, h, w).

        Latent j depends on (seed, j) alone, but for rounding. They lie on the device, which may still be at work on
        them: fetching them waits.

        The caller starts the cache's trajectory. `on_step` is called after each step of the sampler.

        Raises:
            DeepCacheError: if the family has no such sampler.
        """

    @abstractmethod
    def decode(self, latents: torch.Tensor, rounded: bool = True) -> torch.Tensor:
        """Images of what `make_latents` returned, float32 from 0 to 255, shape (B, H, W, C).

        Args:
            latents: as they came.
            rounded: whether a first stage with a codebook looks latents up in it. Without, an image changes with its
                latent however little that changes.
        """

    @torch.no_grad()
    def make_images(
        self, indices: Sequence[int], seed: int, sampler: Sampler, on_step: Callable[[int], None] = lambda step: None
    ) -> torch.Tensor:
        """Images of `make_latents`, quantised once, by rounding, to uint8, shape (len(indices), H, W, C)."""
        return self.decode(self.make_latents(indices, seed, sampler, on_step)).round().to(torch.uint8)

    def sample(
        self, indices: Sequence[int], seed: int, sampler: Sampler, on_step: Callable[[int], None] = lambda step: None
    ) -> np.ndarray:
        """As `make_images`, fetched."""
        return self.make_images(indices, seed, sampler, on_step).cpu().numpy()

    def modules(self) -> list[nn.Module]:
        """The networks of the model: U-Net, first stage, text encoder, ..."""
        return [
            module
            for one in vars(self).values()
            for module in (one.components.values() if isinstance(one, DiffusionPipeline) else [one])
            if isinstance(module, nn.Module)
        ]

    def twin(self) -> Self:
        """See deepcache.models.twins.twin."""
        return twin(self, *self.modules())

    def num_steps(self, sampler: Sampler) -> int:
        """How often the U-Net runs in a trajectory."""
        return self.schedule_length(sampler)

    def schedule_length(self, sampler: Sampler) -> int:
        """Over how many of these calls a schedule is laid out: see `Sampler.schedule_length`."""
        return sampler.schedule_length(self.family.prompted)


def part_folder(folder: Path, name: str) -> Path:
    """A part of a pipeline has a folder of its own, but in early repositories such as google/ddpm-cifar10-32."""
    return folder / name if (folder / name).is_dir() else folder


def step_callback(on_step: Callable[[int], None]) -> Callable:
    """`on_step` as a callback of diffusers' pipelines, which changes nothing."""

    def callback(pipeline, step: int, timestep, tensors: dict) -> dict:
        on_step(step)
        return tensors

    return callback


def to_pixels(x: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) in [-1, 1] to float32 (B, H, W, C) from 0 to 255; what lies outside is clipped."""
    return ((x.clamp(-1, 1) + 1) * 127.5).permute(0, 2, 3, 1).contiguous()


def decoded(processor: VaeImageProcessor, sample: torch.Tensor) -> torch.Tensor:
    """As `to_pixels`, of what a first stage decodes, in its precision, as diffusers' pipelines do it."""
    return (processor.postprocess(sample, output_type="pt").float() * 255).permute(0, 2, 3, 1).contiguous()


def differentiable(pipeline: DiffusionPipeline) -> Callable:
    """A pipeline's call, which diffusers runs without gradients, with them where they are on."""
    return functools.partial(inspect.unwrap(type(pipeline).__call__), pipeline)
