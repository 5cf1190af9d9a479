"""What every family of image models offers to the jobs that sample and time it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch

from deepcache.results.runs import Sampler


class ImageModel(ABC):
    """A model whose `unet` can be cached and that makes the images of given indices."""

    unet: torch.nn.Module

    @abstractmethod
    def sample(
        self, indices: Sequence[int], seed: int, sampler: Sampler, on_step: Callable[[int], None] = lambda step: None
    ) -> np.ndarray:
        """Make images, uint8, shape (len(indices), H, W, C); image j depends on (seed, j) alone, but for rounding.

        The caller starts the cache's trajectory. `on_step` is called after each step of the sampler.

        Raises:
            DeepCacheError: if the family has no such sampler.
        """

    def num_steps(self, sampler: Sampler) -> int:
        """How often the U-Net runs in a trajectory."""
        return sampler.steps


def to_uint8(x: torch.Tensor) -> np.ndarray:
    """Quantise once, by rounding: (B, C, H, W) in [-1, 1] to uint8 (B, H, W, C); what lies outside is clipped."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
