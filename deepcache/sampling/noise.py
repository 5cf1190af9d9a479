"""The noise that belongs to an image: it depends on (seed, index of the image) alone.

So every method starts from the same noise (a paired comparison), whatever the shards, batches and devices.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch.overrides import TorchFunctionMode


def image_seed(seed: int, index: int, purpose: str = "noise") -> int:
    """A 63-bit number for image `index` of a run with `seed`, independent of those for other images and purposes."""
    key = [seed, index] if purpose == "noise" else [seed, index, *purpose.encode()]
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def image_generator(seed: int, index: int) -> torch.Generator:
    """The CPU generator of an image's noise."""
    return torch.Generator().manual_seed(image_seed(seed, index))


def initial_noise(seed: int, indices: Iterable[int], shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal noise of the images, float32, shape (len(indices), *shape)."""
    return drawn([image_generator(seed, index) for index in indices], shape)


def drawn(generators: Iterable[torch.Generator], shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal noise, an image from each generator, which may go on drawing: float32, shape (B, *shape)."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


class NoiseInFloat32(TorchFunctionMode):
    """Inside, normal noise of a narrower type is drawn in float32 and rounded, as `initial_noise` is by who casts it.

    Asked for a narrower type, torch draws other numbers, from the same generator: for all of them up to torch 2.11, for
    the last of them (where their number is no multiple of 16) still in torch 2.15.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        dtype = kwargs.get("dtype")
        if func is torch.randn and dtype in (torch.bfloat16, torch.float16):
            return func(*args, **{**kwargs, "dtype": torch.float32}).to(dtype)
        return func(*args, **kwargs)
