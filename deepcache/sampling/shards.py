"""Shards: files of a fixed number of samples.

Shard i of size S holds images i*S to (i+1)*S - 1 as uint8, together with the settings that made them.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.results.files import UNREADABLE, atomic


def settings_hash(settings: dict) -> str:
    """A short hash of everything that decides the samples, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def write_shard(path: str | Path, images: np.ndarray, settings: dict, made: dict) -> None:
    """Write a shard, whole or not at all.

    Args:
        path: the file, `.npz`.
        images: uint8, shape (S, H, W, C).
        settings: what decides the samples.
        made: how they came about (device, versions, seconds); does not enter the hash.
    """
    about = json.dumps({"settings": settings, "settings_hash": settings_hash(settings), "made": made})
    with atomic(path) as temporary:
        np.savez_compressed(temporary, images=images, about=np.array(about))


def read_shard(path: str | Path) -> tuple[np.ndarray, dict]:
    """Return images, uint8, shape (S, H, W, C), and what `write_shard` was told about them.

    Raises:
        DeepCacheError: if the file is damaged or is no shard.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return file["images"], json.loads(str(file["about"]))
    except UNREADABLE as error:
        raise DeepCacheError(f"{path}: not a readable shard ({error}); delete it and run again") from error


def read_images(paths: Sequence[str | Path], count: int | None = None) -> tuple[np.ndarray, list[dict]]:
    """Return the first `count` images of a run (all, if None), uint8, shape (count, H, W, C), and each shard's story.

    Raises:
        DeepCacheError: if the shards were made with different settings or hold too few images.
    """
    if not paths:
        raise DeepCacheError("no shards to read")
    images, about = zip(*(read_shard(path) for path in paths), strict=True)
    for path, one in zip(paths, about, strict=True):
        if one["settings_hash"] != about[0]["settings_hash"]:
            differing = sorted(
                key
                for key in {*one["settings"], *about[0]["settings"]}
                if one["settings"].get(key) != about[0]["settings"].get(key)
            )
            raise DeepCacheError(
                f"{path} and {paths[0]} were made with different {', '.join(differing)}: delete one and run again"
            )
    merged = np.concatenate(images)
    if count is not None and len(merged) < count:
        raise DeepCacheError(f"{len(paths)} shards hold {len(merged)} images, fewer than the {count} asked for")
    return merged[:count], list(about)
