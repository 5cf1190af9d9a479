"""What a set of images is measured by: moments of its features, some of the features, and where they come from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE, atomic
from deepcache.quality.moments import Moments

# Kinds of features of which moments are taken, and what is appended to mu and sigma for each.
KINDS = {"pool": "", "spatial": "_s", "clean": "_clean"}


@dataclass(frozen=True)
class Statistics:
    """Features of a set of images and their first two moments, named as in ADM's reference batches.

    Moments of the spatial and the clean features are None where those were not asked for, or where the statistics were
    written by a version that did not take them.

    Attributes:
        mu: mean of the pooled features, float64, shape (D,).
        sigma: their covariance, float64, shape (D, D), unbiased.
        features: pooled features of the first K images, float32, shape (K, D).
        about: where they come from: dataset, its content's hash, extractor, its weights' SHA-256.
        mu_s: mean of the spatial features (of sFID), float64, shape (D_s,), or None.
        sigma_s: their covariance, float64, shape (D_s, D_s), or None.
        mu_clean: mean of the clean features (of clean-fid's FID), float64, shape (D,), or None.
        sigma_clean: their covariance, float64, shape (D, D), or None.
    """

    mu: np.ndarray
    sigma: np.ndarray
    features: np.ndarray
    about: dict
    mu_s: np.ndarray | None = None
    sigma_s: np.ndarray | None = None
    mu_clean: np.ndarray | None = None
    sigma_clean: np.ndarray | None = None

    @classmethod
    def of(cls, features: np.ndarray, about: dict, **others: np.ndarray) -> "Statistics":
        """Statistics of pooled features, shape (N, D), all of them kept, and perhaps of `spatial` and `clean` ones.

        Raises:
            DeepCacheError: if there are fewer than two images or a feature is not finite.
        """
        accumulator = Accumulator()
        accumulator.add({"pool": features, **others})
        return accumulator.statistics(about)

    def gaussian(self, kind: str = "pool") -> tuple[np.ndarray, np.ndarray]:
        """Mean, shape (D,), and covariance, shape (D, D), of a kind of features; DeepCacheError if they are missing."""
        mu, sigma = (getattr(self, key) for key in _moment_names(kind))
        if mu is None or sigma is None:
            raise DeepCacheError(f"the statistics have no moments of {kind} features: delete them and run again")
        return mu, sigma

    def save(self, path: str | Path) -> None:
        """Write an .npz, whole or not at all."""
        moments = {key: getattr(self, key) for kind in KINDS for key in _moment_names(kind)}
        taken = {key: value for key, value in moments.items() if value is not None}
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, features=self.features, about=np.array(json.dumps(self.about)), **taken)

    @classmethod
    def load(cls, path: str | Path) -> "Statistics":
        """Read what `save` wrote; DeepCacheError where it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                optional = [key for kind in KINDS if kind != "pool" for key in _moment_names(kind)]
                others = {key: file[key] for key in optional if key in file}
                about = json.loads(str(file["about"]))
                return cls(file["mu"], file["sigma"], file["features"], about, **others)
        except UNREADABLE as error:
            raise DeepCacheError(
                f"{path}: not readable as reference statistics ({error}); delete it and run again"
            ) from error


class Accumulator:
    """Statistics in the making, of features that arrive in batches.

    Args:
        keep: of how many images, the first ones, the pooled features are kept; None for all.
    """

    def __init__(self, keep: int | None = None):
        self._keep = keep
        self._kept: list[np.ndarray] = []
        self._moments = {kind: Moments() for kind in KINDS}

    def add(self, batch: Mapping[str, np.ndarray]) -> None:
        """Add a batch of features by name: `pool`, shape (B, D), and perhaps `spatial`, (B, D_s), and `clean`, (B, D).

        Others are passed over.

        Raises:
            DeepCacheError: if a feature is not finite, or there is another number of them than before.
        """
        seen = self._moments["pool"].count
        wanted = len(batch["pool"]) if self._keep is None else max(0, self._keep - seen)
        for name, moments in self._moments.items():
            if name in batch:
                moments.add(batch[name])
        if wanted:
            self._kept.append(np.asarray(batch["pool"][:wanted], np.float32))

    def statistics(self, about: dict) -> Statistics:
        """The statistics of all batches; DeepCacheError if there were fewer than two images."""
        found = {}
        for kind, moments in self._moments.items():
            if moments.count or kind == "pool":
                # The covariance first: it says what is wrong where there is no image.
                sigma = moments.covariance()
                found |= zip(_moment_names(kind), (moments.mean(), sigma), strict=True)
        return Statistics(**found, features=self.features(), about=about)

    def features(self) -> np.ndarray:
        """The pooled features kept so far, float32, shape (K, D)."""
        if len(self._kept) > 1:
            self._kept = [np.concatenate(self._kept)]
        return self._kept[0] if self._kept else np.zeros((0, self._moments["pool"].shift.size), np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """All that is needed to go on later, as arrays."""
        moments = {
            f"{name}.{key}": value for name, moments in self._moments.items() for key, value in moments.state().items()
        }
        return {"features": self.features(), **moments}

    @classmethod
    def restored(cls, state: Mapping[str, np.ndarray], keep: int | None = None) -> "Accumulator":
        """What `state` was taken of."""
        accumulator = cls(keep)
        accumulator._kept = [state["features"]]
        for name in accumulator._moments:
            own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            accumulator._moments[name] = Moments.restored(own)
        return accumulator


def _moment_names(kind: str) -> tuple[str, str]:
    return f"mu{KINDS[kind]}", f"sigma{KINDS[kind]}"
