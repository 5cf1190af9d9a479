"""LSUN's databases: encoded images in LMDB."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from deepcache.data.formats.decoding import decode
from deepcache.errors import DeepCacheError, reason

FILE = "data.mdb"


class Lmdb:
    """The values of a database, in the order of their keys; it is only read, and no lock is taken.

    Args:
        path: the folder that holds data.mdb.

    Raises:
        DeepCacheError: if there is no database, or it is cut off, damaged or empty.
    """

    def __init__(self, path: Path):
        self._path = path
        with self._opened() as environment:
            # The library maps the file into memory: a file that is too short would end the process.
            whole = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
            self._entries = environment.stat()["entries"]
        size = (path / FILE).stat().st_size
        if size < whole:
            raise DeepCacheError(f"{path / FILE}: cut off after {size} of {whole} bytes: get it again")
        if self._entries == 0:
            raise DeepCacheError(f"{path / FILE}: holds no images")

    def __len__(self) -> int:
        return self._entries

    def read(self, start: int = 0) -> Iterator[np.ndarray]:
        """See `Images.read`."""
        with self._opened() as environment, environment.begin() as transaction, transaction.cursor() as cursor:
            for index, key in enumerate(cursor.iternext(keys=True, values=False)):
                if index >= start:
                    yield decode(cursor.value(), f"{self._path}: key {key.decode(errors='backslashreplace')}")

    @contextmanager
    def _opened(self) -> Iterator:
        import lmdb

        if not (self._path / FILE).is_file():
            raise DeepCacheError(f"{self._path}: holds no {FILE}")
        try:
            with lmdb.open(str(self._path), readonly=True, lock=False, readahead=False, create=False) as environment:
                yield environment
        except lmdb.Error as error:
            raise DeepCacheError(f"{self._path / FILE}: not a readable database ({reason(error)})") from error
