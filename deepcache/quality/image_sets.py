"""The images that are judged, one at a time: those of a run, or those of a folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcache.data.formats.folder import Folder
from deepcache.sampling.shards import read_run, read_sidecar


@dataclass(frozen=True)
class ImageSet:
    """Images in their order.

    Attributes:
        path: the run's sidecar, or the folder.
        count: how many images there are.
        images: uint8, shape (H, W, C); they can be gone through once.
        sidecar: what the run's run.json says; None for a folder.
        names: of a folder's images, relative to it.
    """

    path: Path
    count: int
    images: Iterator[np.ndarray]
    sidecar: dict | None = None
    names: tuple[str, ...] = ()


def run_images(path: str | Path, image_size: int | None = None) -> Iterator[np.ndarray]:
    """Yield the images of a run one at a time, uint8, shape (H, W, C); arguments and errors as of `read_run`."""
    return (image for shard in read_run(path, image_size) for image in shard)


def open_run(path: Path) -> ImageSet:
    """The images of a run, by its sidecar, run.json; DeepCacheError as from `read_sidecar` and `read_run`."""
    sidecar = read_sidecar(path)
    return ImageSet(path, sidecar["images"], run_images(path), sidecar)


def open_folder(path: Path) -> ImageSet:
    """The images of a folder in the natural order of their names; DeepCacheError as from `Folder`."""
    folder = Folder(path)
    return ImageSet(path, len(folder), folder.read(), names=folder.names)
