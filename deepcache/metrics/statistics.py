"""Reference statistics: mean, covariance and features of a reference set, and the key of what they were made from."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.results.files import UNREADABLE, atomic


@dataclass(frozen=True)
class Statistics:
    """Features of a set of images and their first two moments.

    Attributes:
        mu: float64, shape (D,).
        sigma: float64, shape (D, D), unbiased.
        features: float32, shape (N, D).
        about: where they come from: dataset, its content's hash, extractor, its weights' SHA-256.
    """

    mu: np.ndarray
    sigma: np.ndarray
    features: np.ndarray
    about: dict

    @classmethod
    def of(cls, features: np.ndarray, about: dict) -> "Statistics":
        """Moments of features, shape (N, D), accumulated in float64.

        Raises:
            DeepCacheError: if there are fewer than two images or a feature is not finite.
        """
        if len(features) < 2:
            raise DeepCacheError(f"a covariance needs at least two images, not {len(features)}")
        if not np.isfinite(features).all():
            raise DeepCacheError("features contain NaN or infinity: the images or the extractor are broken")
        wide = features.astype(np.float64)
        return cls(wide.mean(axis=0), np.cov(wide, rowvar=False), features, about)

    def save(self, path: str | Path) -> None:
        """Write an .npz, whole or not at all."""
        with atomic(path) as temporary:
            np.savez_compressed(
                temporary, mu=self.mu, sigma=self.sigma, features=self.features, about=np.array(json.dumps(self.about))
            )

    @classmethod
    def load(cls, path: str | Path) -> "Statistics":
        """Read what `save` wrote; DeepCacheError where it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["mu"], file["sigma"], file["features"], json.loads(str(file["about"])))
        except UNREADABLE as error:
            raise DeepCacheError(
                f"{path}: not readable as reference statistics ({error}); delete it and run again"
            ) from error
