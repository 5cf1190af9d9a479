"""How far a candidate's images are from the converged solution: many steps from the same noise."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import nn

from deepcache.beyond.calibration.choose import LEAST
from deepcache.quality.paired_fidelity import PEAK, squared_errors
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel
from deepcache.sampling.unrounded import sample_pixels


class Way(Protocol):
    """What can be judged: a sampler, and how the U-Net runs with it."""

    sampler: Sampler

    def applied(self, unet: nn.Module) -> AbstractContextManager[Any]:
        """A context in which the U-Net runs so; what it yields may have a `start_trajectory`."""


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
        on_batch: called with a number of U-Net calls after each batch.
    """

    def __init__(
        self,
        model: ImageModel,
        converged: Sampler,
        seed: int,
        at_once: int,
        kept: np.ndarray | None = None,
        on_batch: Callable[[int], None] = lambda calls: None,
    ):
        self._model, self._sampler, self._seed, self._at_once = model, converged, seed, at_once
        self._on_batch = on_batch
        self.converged = kept

    def __call__(self, way: Way, images: int) -> Judgement:
        """Judge by the first `images` images."""
        self.converge(images)
        with way.applied(self._model.unet) as applied:
            found = self._sample(range(images), way.sampler, getattr(applied, "start_trajectory", None))
        errors = np.maximum(squared_errors(found, self.converged[:images]), LEAST)
        decibels = 10 * np.log10(PEAK**2 / errors)
        return Judgement(float(decibels.mean()), float(np.percentile(decibels, 10)), images)

    def converge(self, images: int) -> np.ndarray:
        """The first `images` converged images, float32 from 0 to 255, shape (images, H, W, C)."""
        have = 0 if self.converged is None else len(self.converged)
        if have < images:
            more = self._sample(range(have, images), self._sampler, None)
            self.converged = more if self.converged is None else np.concatenate([self.converged, more])
        return self.converged[:images]

    def _sample(self, indices: Sequence[int], sampler: Sampler, start: Callable[[], None] | None) -> np.ndarray:
        found = []
        for first in range(0, len(indices), self._at_once):
            batch = indices[first : first + self._at_once]
            if start is not None:
                start()
            found.append(sample_pixels(self._model, batch, self._seed, sampler))
            self._on_batch(self._model.num_steps(sampler))
        return np.concatenate(found)
