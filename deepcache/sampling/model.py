"""What every family of image models offers to the jobs that sample and time it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from diffusers import DiffusionPipeline
from torch import nn

from deepcache.models.twins import twin
from deepcache.runs.families import PIXEL, Family
from deepcache.runs.sampler import Sampler


class ImageModel(ABC):
    """A model whose `unet` can be cached and that makes the images of given indices.

    Attributes:
        unet: the U-Net.
        context_tokens: length of the context that it attends to; None where it has none, or CLIP's.
        family: which samplers it has, and whether it paints from prompts.
    """

    unet: torch.nn.Module
    context_tokens: int | None = None
    family: Family = PIXEL

    @abstractmethod
    def make_images(
        self, indices: Sequence[int], seed: int, sampler: Sampler, on_step: Callable[[int], None] = lambda step: None
    ) -> torch.Tensor:
        """Make images, uint8, shape (len(indices), H, W, C); image j depends on (seed, j) alone, but for rounding.

        They lie on the device, which may still be at work on them: fetching them waits.

        The caller starts the cache's trajectory. `on_step` is called after each step of the sampler.

        Raises:
            DeepCacheError: if the family has no such sampler.
        """

    def sample(
        self, indices: Sequence[int], seed: int, sampler: Sampler, on_step: Callable[[int], None] = lambda step: None
    ) -> np.ndarray:
        """As `make_images`, fetched."""
        return self.make_images(indices, seed, sampler, on_step).cpu().numpy()

    def twin(self) -> Self:
        """See deepcache.models.twins.twin."""
        parts = [
            module
            for one in vars(self).values()
            for module in (one.components.values() if isinstance(one, DiffusionPipeline) else [one])
            if isinstance(module, nn.Module)
        ]
        return twin(self, *parts)

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


def to_uint8(x: torch.Tensor) -> torch.Tensor:
    """Quantise once, by rounding: (B, C, H, W) in [-1, 1] to uint8 (B, H, W, C); what lies outside is clipped."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def unit_to_uint8(x: torch.Tensor) -> torch.Tensor:
    """As `to_uint8`, from [0, 1], as pipelines return it."""
    return (x.float() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
