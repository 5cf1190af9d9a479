"""Room on the disk, and what to say where there is none."""

import shutil
from pathlib import Path

from tqdm import tqdm

from deepcache.errors import DeepCacheError
from deepcache.shortages import DISK_FULL

MARGIN = 100 * 10**6  # bytes that stay free on the disk


def check_space(path: Path, needed: int) -> None:
    """Refuse a download that would fill the disk.

    Args:
        path: the file or folder to be written; its parent exists.
        needed: bytes still to come.

    Raises:
        DeepCacheError: if they would leave less than a margin free.
    """
    free = shutil.disk_usage(path.parent).free
    if needed + MARGIN > free:
        sizes = f"{_size(needed)} to download and {_size(MARGIN)} to spare, but {_size(free)} are free"
        raise DeepCacheError(f"{path}: {sizes} on the disk of {path.parent}: make room or choose another place")


def disk_error(path: Path, error: OSError) -> DeepCacheError:
    """The error to raise where the operating system refuses to write `path` or something beside it."""
    if error.errno in DISK_FULL:
        return DeepCacheError(f"{path}: the disk is full: make room and run again; what has arrived so far is kept")
    return DeepCacheError(f"{error.filename or path}: {error.strerror or ' '.join(str(error).split())}")


def _size(count: int) -> str:
    return tqdm.format_sizeof(count, "B")
