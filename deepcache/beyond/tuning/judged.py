"""How far a candidate's images are from the converged solution: many steps from the same noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deepcache.beyond.calibration.choose import LEAST
from deepcache.beyond.tuning.candidate import Candidate
from deepcache.quality.paired_fidelity import PEAK, squared_errors
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel
from deepcache.sampling.unrounded import sample_pixels


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

    def __call__(self, candidate: Candidate, images: int) -> Judgement:
        """Judge by the first `images` images."""
        self.converge(images)
        with candidate.applied(self._model.unet) as cache:
            found = self._sample(range(images), candidate.sampler, cache)
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

    def _sample(self, indices: Sequence[int], sampler: Sampler, cache) -> np.ndarray:
        found = []
        for start in range(0, len(indices), self._at_once):
            batch = indices[start : start + self._at_once]
            if cache is not None:
                cache.start_trajectory()
            found.append(sample_pixels(self._model, batch, self._seed, sampler))
            self._on_batch(self._model.num_steps(sampler))
        return np.concatenate(found)
