"""Pooled features of a run's images, kept for what is computed from them when the images are gone."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE, atomic
from deepcache.quality.statistics import Statistics


@dataclass(frozen=True)
class RunFeatures:
    """Features of a run.

    Attributes:
        pool: pooled features of each image, in order, float32, shape (N, D).
        about: what `whose` says of their extractor, and `run`, the sidecar of the run.
    """

    pool: np.ndarray
    about: dict

    @classmethod
    def of(cls, pooled: Iterable[np.ndarray], run: str, reference: Statistics) -> "RunFeatures":
        """Of batches of pooled features of a run, by the extractor of the reference that it is measured against."""
        return cls(np.concatenate(list(pooled)), {"run": run, **whose(reference)})

    def save(self, path: str | Path) -> None:
        """Write an .npz, whole or not at all."""
        with atomic(path) as temporary, temporary.open("wb") as file:
            np.savez(file, pool=self.pool, about=np.array(json.dumps(self.about)))

    @classmethod
    def load(cls, path: str | Path) -> "RunFeatures":
        """Read what `save` wrote; DeepCacheError where it is damaged."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["pool"].astype(np.float32), json.loads(str(file["about"])))
        except UNREADABLE as error:
            raise DeepCacheError(
                f"{path}: not readable as features of a run ({error}); delete it and run again"
            ) from error


def whose(reference: Statistics) -> dict:
    """By whose features a run is measured against reference statistics: `extractor`, `extractor_sha256`."""
    return {key: reference.about[key] for key in ("extractor", "extractor_sha256")}


def noting_pooled(
    batches: Iterable[Mapping[str, np.ndarray]], pooled: list[np.ndarray]
) -> Iterator[Mapping[str, np.ndarray]]:
    """Pass batches of features on, and add their pooled ones, float32, shape (B, D), to a list."""
    for batch in batches:
        pooled.append(batch["pool"])
        yield batch
