"""How far a candidate's images are from the converged solution: many steps from the same noise."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from torch import nn

from deepcache.beyond.calibration.choose import LEAST
from deepcache.beyond.comparison.sweeps import decibels
from deepcache.quality.paired_fidelity import squared_errors
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel
from deepcache.sampling.unrounded import sample_pixels

Batch = TypeVar("Batch")


class Way(Protocol):
    """What can be judged: a sampler, and how the U-Net runs with it."""

    sampler: Sampler

    def applied(self, unet: nn.Module) -> AbstractContextManager[Any]:
        """A context in which the U-Net runs so; what it yields may have a `start_trajectory`."""


@dataclass(frozen=True)
class Uncached:
    """A way: every step full.

    Attributes:
        sampler: with its number of steps.
    """

    sampler: Sampler

    def applied(self, unet: nn.Module) -> AbstractContextManager[None]:
        """A context in which the U-Net is as it was."""
        return nullcontext()


def start_of(applied: Any) -> Callable[[], None]:
    """What begins a trajectory, of what a way's context yields."""
    return getattr(applied, "start_trajectory", lambda: None)


def in_batches(
    model: ImageModel, way: Way, indices: Sequence[int], at_once: int, sample: Callable[[Sequence[int]], Batch]
) -> list[Batch]:
    """What `sample` makes of each batch of indices, a trajectory each, with the U-Net running as the way has it."""
    found = []
    with way.applied(model.unet) as applied:
        start = start_of(applied)
        for first in range(0, len(indices), at_once):
            start()
            found.append(sample(indices[first : first + at_once]))
    return found


@dataclass(frozen=True)
class Judgement:
    """PSNR to the converged images, dB, before rounding.

    Attributes:
        mean: over the images.
        tenth: their 10th percentile.
        images: how many.
    """

    mean: float
    tenth: float
    images: int


class Judge:
    """Samples candidates from the same noise as the converged images.

    Args:
        model: makes the images.
        converged: sampler of many steps.
        seed: of the noise.
        at_once: images in a batch.
        kept: converged images that are known already, float32 from 0 to 255, shape (n, H, W, C).
    """

    def __init__(
        self,
        model: ImageModel,
        converged: Sampler,
        seed: int,
        at_once: int,
        kept: np.ndarray | None = None,
    ):
        self._model, self._sampler, self._seed, self._at_once = model, converged, seed, at_once
        self.converged = kept

    def __call__(self, way: Way, images: int) -> Judgement:
        """Judge by the first `images` images."""
        self.converge(images)
        found = self._sample(range(images), way)
        by_image = decibels(np.maximum(squared_errors(found, self.converged[:images]), LEAST))
        return Judgement(float(by_image.mean()), float(np.percentile(by_image, 10)), images)

    def converge(self, images: int) -> np.ndarray:
        """The first `images` converged images, float32 from 0 to 255, shape (images, H, W, C)."""
        have = 0 if self.converged is None else len(self.converged)
        if have < images:
            more = self._sample(range(have, images), Uncached(self._sampler))
            self.converged = more if self.converged is None else np.concatenate([self.converged, more])
        return self.converged[:images]

    def _sample(self, indices: Sequence[int], way: Way) -> np.ndarray:
        model, seed = self._model, self._seed
        batches = in_batches(model, way, indices, self._at_once, lambda of: sample_pixels(model, of, seed, way.sampler))
        return np.concatenate(batches)
