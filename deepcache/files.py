"""Writing files whole or not at all, and their checksums."""

import glob
import hashlib
import json
import os
import shutil
import socket
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepcache.errors import DeepCacheError

# What reading a damaged JSON or npz file can raise.
UNREADABLE = (OSError, ValueError, KeyError, EOFError, RecursionError, zipfile.BadZipFile, zlib.error)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    The block writes a file there, or a folder; a folder that was at `path` is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: writers such as matplotlib and numpy choose the format by it.
    beginning, end = f".{path.stem}.{socket.gethostname()}-", f".partial{path.suffix}"
    temporary = path.with_name(f"{beginning}{os.getpid()}{end}")
    for other in path.parent.glob(f"{glob.escape(beginning)}[0-9]*{glob.escape(end)}"):
        if not _lives(int(other.name.removeprefix(beginning).removesuffix(end))):
            _remove(other)
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        temporary.replace(path)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # where writing failed, not opening
            error.filename = str(path)
        raise
    finally:
        _remove(temporary)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def check_replaceable(folder: str | Path, marker: str) -> None:
    """Refuse a folder that `atomic` would replace although it holds something else.

    Args:
        folder: may be missing or empty.
        marker: a file that folders of the expected kind hold.

    Raises:
        DeepCacheError: if there are other files, or a file has the folder's name.
    """
    folder = Path(folder)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / marker).exists()):
        raise DeepCacheError(f"{folder} exists and holds no {marker}, so it is not replaced: give another --output")


def write_json(path: str | Path, value) -> None:
    """Write `value` as indented JSON, whole or not at all; NaN and infinity are refused."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def short_hash(value) -> str:
    """Of what JSON can hold, whatever the order of its keys: 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
