"""CIFAR-10's training part in its own layout, which torchvision uses too, read without running pickled code."""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deepcache.errors import DeepCacheError, reason

FOLDER = "cifar-10-batches-py"
BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
SIDE = 32

RECONSTRUCT = np.empty(0).__reduce__()[0]  # NumPy's function that makes an empty array, to be filled
# All that it takes to build an array; none of them can do anything else.
ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
}


class _ArraysOnly(pickle.Unpickler):
    """Builds plain values and arrays, and refuses whatever else a pickle asks for."""

    def find_class(self, module: str, name: str):
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not needed for arrays and is not run")
        return ALLOWED[module, name]


class Cifar10:
    """The images of data_batch_1 to data_batch_5, in their order, 32x32.

    Args:
        path: the folder cifar-10-batches-py, or the one that holds it.

    Raises:
        DeepCacheError: if a batch is missing or is no such file.
    """

    def __init__(self, path: Path):
        folder = path / FOLDER if (path / FOLDER).is_dir() else path
        self._batches = [folder / name for name in BATCHES]
        self._sizes = [len(_load(batch)) for batch in self._batches]

    def __len__(self) -> int:
        return sum(self._sizes)

    def read(self, start: int = 0) -> Iterator[np.ndarray]:
        """See `Images.read`; shape (32, 32, 3)."""
        for batch, size in zip(self._batches, self._sizes, strict=True):
            if start < size:
                yield from _load(batch)[start:]
            start = max(0, start - size)


def _load(path: Path) -> np.ndarray:
    """One batch, uint8, shape (N, 32, 32, 3)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DeepCacheError(f"{path}: {error.strerror}: CIFAR-10 has {BATCHES[0]} to {BATCHES[-1]}") from error
    try:
        # The files were written by Python 2, whose strings are bytes.
        values = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise any
        raise DeepCacheError(f"{path}: not a batch of CIFAR-10 ({reason(error)}): get it again") from error
    data = values.get("data") if isinstance(values, dict) else None
    pixels = 3 * SIDE * SIDE
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != pixels:
        raise DeepCacheError(f"{path}: not a batch of CIFAR-10: it has no uint8 'data' of {pixels} columns")
    return data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
