"""Images beside what they are rounded from, for errors that rounding would hide: to 8 bits, above about 59 dB."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel


@dataclass(frozen=True)
class Unrounded:
    """Some images.

    Attributes:
        images: uint8, shape (B, H, W, C).
        pixels: float32 from 0 to 255, before rounding to 8 bits and, where a first stage has a codebook, to its
            entries; same shape.
    """

    images: np.ndarray
    pixels: np.ndarray


@torch.no_grad()
def sample_pixels(model: ImageModel, indices: Sequence[int], seed: int, sampler: Sampler) -> np.ndarray:
    """What images are rounded from, float32 from 0 to 255, shape (B, H, W, C)."""
    return model.decode(model.make_latents(indices, seed, sampler), rounded=False).cpu().numpy()


@torch.no_grad()
def sample_unrounded(model: ImageModel, indices: Sequence[int], seed: int, sampler: Sampler) -> Unrounded:
    """As `ImageModel.sample`, with what the images are rounded from."""
    latents = model.make_latents(indices, seed, sampler)
    images = model.decode(latents).round().to(torch.uint8)
    return Unrounded(images.cpu().numpy(), model.decode(latents, rounded=False).cpu().numpy())
