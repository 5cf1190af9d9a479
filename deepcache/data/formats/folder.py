"""Image files in a folder and its subfolders."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deepcache.data.formats.decoding import decode
from deepcache.errors import DeepCacheError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
# Images, too: were they passed over, statistics would be of fewer images than the folder holds.
UNREAD = (".gif", ".apng", ".avif", ".heic", ".heif", ".jfif", ".jp2", ".jxl", ".ppm", ".tga")


def list_files(folder: Path) -> list[str]:
    """Names of all files below a folder relative to it, with forward slashes, sorted; hidden ones are left out."""
    found = []
    for place, folders, names in os.walk(folder, followlinks=True):  # classes are often links to other disks
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(place).relative_to(folder)
        found += [(below / name).as_posix() for name in names if not name.startswith(".")]
    return sorted(found)


def natural(name: str) -> tuple:
    """To sort names by: numbers in them count as numbers, so that 2.png comes before 10.png."""
    parts = re.split("([0-9]+)", name)
    return tuple((int(part), part) if part.isdigit() else (-1, part) for part in parts), name


def image_names(folder: Path) -> list[str]:
    """Names of the images in a folder, in their natural order.

    Raises:
        DeepCacheError: if there are none, or some of a format that is not read.
    """
    files = list_files(folder)
    if unread := [name for name in files if name.lower().endswith(UNREAD)]:
        raise DeepCacheError(f"{folder / unread[0]}: this format is not read: make it a PNG, or take it away")
    found = sorted((name for name in files if name.lower().endswith(SUFFIXES)), key=natural)
    if not found:
        raise DeepCacheError(f"{folder}: holds no images (*{', *'.join(SUFFIXES)})")
    return found


class Folder:
    """Images in the natural order of their names relative to the folder; class folders are subfolders.

    Args:
        path: the folder.

    Raises:
        DeepCacheError: if it is no folder, holds no images, or some of a format that is not read.
    """

    def __init__(self, path: Path):
        if not path.is_dir():
            raise DeepCacheError(f"{path}: not a folder")
        self._path = path
        self._names = image_names(path)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the images, relative to the folder, in order."""
        return tuple(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def read(self, start: int = 0) -> Iterator[np.ndarray]:
        """See `Images.read`."""
        for name in self._names[start:]:
            path = self._path / name
            try:
                content = path.read_bytes()
            except OSError as error:
                raise DeepCacheError(f"{path}: {error.strerror}") from error
            yield decode(content, str(path))
