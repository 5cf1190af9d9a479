"""Unpack archives: whole or not at all, and nothing outside the folder."""

import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from deepcache.data.disk import check_space, disk_error
from deepcache.errors import DeepCacheError, reason
from deepcache.files import atomic
from deepcache.progress import progress


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .zip, .tar, .tar.gz or .tgz file; the folder appears only when everything is in it.

    Raises:
        DeepCacheError: if the file is none of these or is damaged, a member would lie outside the folder or is a
            device, or the disk would be full.
    """
    suffix = next((suffix for suffix in UNPACKERS if archive.name.lower().endswith(suffix)), None)
    if suffix is None:
        raise DeepCacheError(f"{archive}: not an archive that can be unpacked ({', '.join(UNPACKERS)})")
    try:
        with atomic(folder) as temporary:
            temporary.mkdir()
            UNPACKERS[suffix](archive, temporary)
    except DeepCacheError:
        raise
    except tarfile.FilterError as error:
        raise DeepCacheError(f"{archive}: refused: {reason(error)}") from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
        raise DeepCacheError(f"{archive}: not a whole archive ({reason(error)}): delete it and run again") from error
    except OSError as error:
        raise disk_error(folder, error) from error


def stem(archive: Path) -> str:
    """An archive's name without the suffix by which it is known: images.tar.gz -> images."""
    suffix = next((suffix for suffix in UNPACKERS if archive.name.lower().endswith(suffix)), "")
    return archive.name[: len(archive.name) - len(suffix)]


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        total = sum(member.file_size for member in members)
        check_space(folder, total)
        with progress(None, f"unpack {archive.name}", unit="B", unit_scale=True, total=total) as bar:
            for member in members:
                # The library would put such a member at another place, under the folder.
                if not (folder / member.filename).resolve().is_relative_to(folder.resolve()):
                    raise DeepCacheError(f"{archive}: refused: {member.filename!r} would lie outside the folder")
                file.extract(member, folder)
                bar.update(member.file_size)


def _untar(archive: Path, folder: Path, mode: str) -> None:
    size = archive.stat().st_size
    check_space(folder, size)  # at least so much; how much it will be, only the whole file says
    with (
        archive.open("rb") as raw,
        tarfile.open(fileobj=raw, mode=mode) as file,
        progress(None, f"unpack {archive.name}", unit="B", unit_scale=True, total=size) as bar,
    ):
        for member in file:
            check_space(folder, member.size)
            file.extract(member, folder, filter="data")
            bar.update(raw.tell() - bar.n)
        bar.update(size - bar.n)


UNPACKERS: dict[str, Callable[[Path, Path], None]] = {
    ".zip": _unzip,
    ".tar": partial(_untar, mode="r:"),
    ".tar.gz": partial(_untar, mode="r:gz"),
    ".tgz": partial(_untar, mode="r:gz"),
}
