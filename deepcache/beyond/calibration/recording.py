"""The file in which a recording of a branch's feature is kept, from which plans of every interval are made."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deepcache.beyond.calibration.calibrate import Recorded
from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE, atomic
from deepcache.runs.sampler import Sampler


def write_recorded(path: str | Path, recorded: Recorded, manifest: Mapping, sampler: Sampler, branch: int) -> None:
    """Write what was recorded, and of what, as npz, whole or not at all.

    Args:
        path: the file.
        recorded: what `record` returned.
        manifest: of the checkpoint, as `open_checkpoint` returns it.
        sampler: with which.
        branch: where the U-Net was cut.
    """
    about = {"images": recorded.images, "seed": recorded.seed, **_identity(manifest, sampler, branch)}
    with atomic(path) as temporary:
        np.savez(temporary, gram=recorded.gram, importance=recorded.importance, about=json.dumps(about))


def read_recorded(path: str | Path, manifest: Mapping, sampler: Sampler, branch: int) -> Recorded:
    """Read a recording and check that it is of what is to be run.

    Raises:
        DeepCacheError: if the file is damaged, or was recorded of something else; the message names it.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            recorded = Recorded(file["gram"], file["importance"], about["images"], about["seed"])
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not a readable recording ({error}); delete it and record again") from error
    for key, value in _identity(manifest, sampler, branch).items():
        if about.get(key) != value:
            raise DeepCacheError(f"{path}: recorded with another {key} than {value}: record again")
    return recorded


def _identity(manifest: Mapping, sampler: Sampler, branch: int) -> dict:
    return {"weights": manifest["sha256"], "sampler": sampler.slug, "branch": branch}
