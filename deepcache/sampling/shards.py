"""Shards: files of a fixed number of samples.

Shard i of size S holds images i*S to (i+1)*S - 1 as uint8, together with the settings that made them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE, atomic, short_hash


def settings_hash(settings: dict) -> str:
    """A short hash of everything that decides the samples, 16 hexadecimal digits."""
    return short_hash(settings)


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


def read_shards(paths: Sequence[str | Path], count: int | None = None) -> Iterator[tuple[np.ndarray, dict]]:
    """Yield the first `count` images of a run (all, if None), shard by shard: the run is never in memory as a whole.

    Shards beyond those images are read and checked too; what is yielded of them is empty.

    Args:
        paths: the shards, in order of their index.
        count: number of images.

    Yields:
        Images, uint8, shape (B, H, W, C), and what `write_shard` was told about them.

    Raises:
        DeepCacheError: if a shard is damaged, was made with other settings than the first, or, when all are read, they
            hold too few images.
    """
    if not paths:
        raise DeepCacheError("no shards to read")
    first, found = None, 0
    for path in paths:
        images, about = read_shard(path)
        first = first or about
        if about["settings_hash"] != first["settings_hash"]:
            mine, others = about["settings"], first["settings"]
            differing = sorted(key for key in {*mine, *others} if mine.get(key) != others.get(key))
            raise DeepCacheError(
                f"{path} and {paths[0]} were made with different {', '.join(differing)}: delete one and run again"
            )
        yield images[: None if count is None else max(0, count - found)], about
        found += len(images)
    if count is not None and found < count:
        raise DeepCacheError(
            f"{Path(paths[0]).parent}: {len(paths)} shards hold {found} images, fewer than the {count} asked for: "
            "sample more, or ask for fewer"
        )


def read_images(paths: Sequence[str | Path], count: int | None = None) -> tuple[np.ndarray, list[dict]]:
    """Return what `read_shards` yields in one array, uint8, shape (count, H, W, C), and each shard's story."""
    images, about = zip(*read_shards(paths, count), strict=True)
    return np.concatenate(images), list(about)


def read_sidecar(path: str | Path) -> dict:
    """Return what a run's sidecar, run.json, says.

    Raises:
        DeepCacheError: if the file is damaged, is no sidecar, or names shards by something other than their index.
    """
    try:
        run = json.loads(Path(path).read_text(encoding="utf-8"))
        missing = [key for key in ("images", "settings_hash", "shards") if key not in run]
        if missing:
            raise ValueError(f"has no {', '.join(missing)}")
        _in_order(run["shards"])
    except (*UNREADABLE, TypeError, AttributeError) as error:
        raise DeepCacheError(f"{path}: not a readable run ({error}); delete it and run again") from error
    return run


def read_run(path: str | Path, image_size: int | None = None) -> Iterator[np.ndarray]:
    """Yield the images of a run in order of index, shard by shard: the run is never in memory as a whole.

    Args:
        path: the run's sidecar, run.json; its shards lie in `shards/` beside it.
        image_size: side in pixels that the images must have, that of what they are compared with.

    Yields:
        Images, uint8, shape (B, H, W, C).

    Raises:
        DeepCacheError: as from `read_sidecar` and `read_shards`, or if a shard was made with other settings than the
            sidecar says, or has images of another size.
    """
    run = read_sidecar(path)
    shards = [Path(path).parent / "shards" / name for name in _in_order(run["shards"])]
    for (images, about), shard in zip(read_shards(shards, run["images"]), shards, strict=True):
        if about["settings_hash"] != run["settings_hash"]:
            raise DeepCacheError(f"{shard} was made with other settings than {path} says: delete it and run again")
        if image_size is not None and images.shape[1:3] != (image_size, image_size):
            height, width = images.shape[1:3]
            raise DeepCacheError(
                f"{shard}: samples of {width}x{height} pixels, but the reference's images have {image_size}"
            )
        yield images


def _in_order(names: Iterable[str]) -> list[str]:
    """Names of shards by index: 00000.npz, 00001.npz, ..."""
    return sorted(names, key=lambda name: int(Path(name).stem))
