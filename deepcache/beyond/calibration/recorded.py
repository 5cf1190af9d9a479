"""What a recording of a branch's feature holds, from which plans of every interval are made, and its file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcache.beyond.calibration.rows import Rows
from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE, atomic
from deepcache.sampler import Sampler


@dataclass(frozen=True)
class Recorded:
    """What uncached trajectories, and backward passes through them, tell of a branch.

    Attributes:
        rows: of all images and probes.
        gram: of the branch's feature, see `FeatureGram`, shape (T, T).
        images: how many trajectories were recorded.
        probes: of each.
        seed: of their noise.
    """

    rows: Rows
    gram: np.ndarray
    images: int
    probes: int
    seed: int


def write_recorded(path: str | Path, recorded: Recorded, manifest: Mapping, sampler: Sampler, branch: int) -> None:
    """Write what was recorded, and of what, as npz, whole or not at all.

    Args:
        path: the file.
        recorded: what `record` returned.
        manifest: of the checkpoint, as `open_checkpoint` returns it.
        sampler: with which.
        branch: where the U-Net was cut.
    """
    about = {name: getattr(recorded, name) for name in ("images", "probes", "seed")}
    about |= {"elements": recorded.rows.elements, **identity(manifest, sampler, branch)}
    arrays = {"products": recorded.rows.products, "image": recorded.rows.images, "gram": recorded.gram}
    with atomic(path) as temporary:
        np.savez(temporary, **arrays, about=json.dumps(about))


def read_recorded(path: str | Path, manifest: Mapping, sampler: Sampler, branch: int) -> Recorded:
    """Read a recording and check that it is of what is to be run.

    Raises:
        DeepCacheError: if the file is damaged, or was recorded of something else; the message names it.
    """
    recorded, about = open_recorded(path)
    for key, value in identity(manifest, sampler, branch).items():
        if about.get(key) != value:
            raise DeepCacheError(f"{path}: recorded with another {key} than {value}: record again")
    return recorded


def open_recorded(path: str | Path) -> tuple[Recorded, Mapping]:
    """Read a recording, and of what it is: `sampler`, `branch`, ...; DeepCacheError if the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            rows = Rows(file["products"].astype(np.float64), file["image"], about["elements"])
            return Recorded(rows, file["gram"], about["images"], about["probes"], about["seed"]), about
    except (*UNREADABLE, TypeError, AttributeError, DeepCacheError) as error:
        raise DeepCacheError(f"{path}: not a readable recording ({error}); delete it and record again") from error


def identity(manifest: Mapping, sampler: Sampler, branch: int) -> dict:
    """What a recording holds for."""
    return {"weights": manifest["sha256"], "sampler": sampler.slug, "branch": branch}
