"""ADM's reference batches: an .npz with images, and perhaps the moments of the whole training set."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from deepcache.errors import DeepCacheError, reason
from deepcache.files import UNREADABLE

IMAGES = "arr_0"
# Mean and covariance of Inception's pooled and spatial features.
MOMENTS = {"mu": (2048,), "sigma": (2048, 2048), "mu_s": (2023,), "sigma_s": (2023, 2023)}


class Npz:
    """The images arr_0 of an .npz, uint8, shape (N, H, W, 3), read one at a time: the array may be larger than memory.

    Args:
        path: the file. It may also have mu, sigma, mu_s and sigma_s (all or none); other keys do not matter.

    Raises:
        DeepCacheError: if the file is no .npz, or a key is missing or not what it should be.
    """

    def __init__(self, path: Path):
        self._path = path
        with self._opened() as archive:
            keys = [name.removesuffix(".npy") for name in archive.namelist()]
            if IMAGES not in keys:
                raise DeepCacheError(f"{path}: has no {IMAGES}, the images, but {', '.join(keys) or 'nothing'}")
            missing = sorted(MOMENTS.keys() - set(keys))
            if 0 < len(missing) < len(MOMENTS):
                raise DeepCacheError(f"{path}: has some of {', '.join(MOMENTS)}, but no {', '.join(missing)}")
            self.has_moments = not missing
            for key in MOMENTS if self.has_moments else ():
                with archive.open(f"{key}.npy") as member:
                    self._check_moment(key, *_header(member))
            with archive.open(f"{IMAGES}.npy") as member:
                self.shape = self._check_images(*_header(member))

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, start: int = 0) -> Iterator[np.ndarray]:
        """See `Images.read`."""
        size = int(np.prod(self.shape[1:]))
        with self._opened() as archive, archive.open(f"{IMAGES}.npy") as member:
            _header(member)
            member.seek(min(start, len(self)) * size, 1)
            for index in range(start, len(self)):
                content = member.read(size)
                if len(content) < size:
                    raise DeepCacheError(f"{self._path}: {IMAGES} ends within image {index} of {len(self)}")
                yield np.frombuffer(content, np.uint8).reshape(self.shape[1:])

    def moments(self) -> dict[str, np.ndarray]:
        """The stored mu (2048,), sigma (2048, 2048), mu_s (2023,) and sigma_s (2023, 2023), float64.

        Raises:
            DeepCacheError: if they are damaged, not there, or not finite.
        """
        try:
            with np.load(self._path, allow_pickle=False) as file:
                found = {key: np.asarray(file[key], np.float64) for key in MOMENTS}
        except UNREADABLE as error:
            raise DeepCacheError(f"{self._path}: moments are not readable ({reason(error)})") from error
        for key, value in found.items():
            if not np.isfinite(value).all():
                raise DeepCacheError(f"{self._path}: {key} has NaN or infinity: get it again")
        return found

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self._path) as archive:
                yield archive
        except DeepCacheError:
            raise
        except OSError as error:
            raise DeepCacheError(f"{self._path}: {error.strerror or reason(error)}") from error
        except (zipfile.BadZipFile, ValueError, KeyError, EOFError, RuntimeError, zlib.error) as error:
            raise DeepCacheError(f"{self._path}: not a readable .npz ({reason(error)}): get it again") from error

    def _check_moment(self, key: str, shape: tuple[int, ...], fortran_order: bool, dtype: np.dtype) -> None:
        if shape != MOMENTS[key] or dtype.kind != "f":
            raise DeepCacheError(f"{self._path}: {key} is {dtype} {shape}, not floating point {MOMENTS[key]}")

    def _check_images(self, shape: tuple[int, ...], fortran_order: bool, dtype: np.dtype) -> tuple[int, ...]:
        if dtype != np.uint8 or fortran_order or len(shape) != 4 or shape[3] != 3:
            order = " in Fortran order" if fortran_order else ""
            raise DeepCacheError(f"{self._path}: {IMAGES} is {dtype} {shape}{order}, not uint8 (N, H, W, 3)")
        if 0 in shape:
            raise DeepCacheError(f"{self._path}: {IMAGES} of shape {shape} holds no pixels")
        return shape


def _header(member: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of an array in .npy format; the stream then stands at its data."""
    version = npy.read_magic(member)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the .npy format")
    return read(member)
