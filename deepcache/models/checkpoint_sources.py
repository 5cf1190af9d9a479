"""Where checkpoints come from: each source puts one into a folder and says what it was made of."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.package_weights import package_folder


@dataclass(frozen=True)
class Fetched:
    """A checkpoint that is here now.

    Attributes:
        folder: where its files lie.
        origin: address, repository and revision, or folder, as plain values for the manifest.
    """

    folder: Path
    origin: dict


def in_place(folder: Path) -> Fetched:
    """A checkpoint that lies in a folder already: shipped, trained here, or the user's own.

    Raises:
        DeepCacheError: if there is no such folder.
    """
    if not folder.is_dir():
        raise DeepCacheError(f"{folder}: no such folder: correct the checkpoint's folder in the config")
    return Fetched(folder, {"folder": str(folder)})


def from_package(place: str) -> Fetched:
    """Weights that an installed Python package brings, see `package_folder`; DeepCacheError where there is none."""
    return Fetched(package_folder(place), {"package": place})


def from_hub(folder: Path, repository: str, revision: str, include: list[str] | None) -> Fetched:
    """Download a repository, or some of its files, at a commit; DeepCacheError where that fails.

    A branch or tag is resolved once; the manifest names the commit.
    """
    from deepcache.data.hub import download_repository, resolve_revision

    commit = resolve_revision(repository, revision, folder)
    if commit != revision:
        print(f"{repository}: {revision} is {commit}: write `revision: {commit}` to pin it", file=sys.stderr)
    download_repository(repository, commit, folder, include)
    return Fetched(folder, {"repository": repository, "revision": commit})


def from_url(folder: Path, url: str, checksums: dict[str, str], convert: str | None) -> Fetched:
    """Download a file into the folder and, if asked, convert it into a folder beside it.

    Args:
        folder: where the file is put.
        url: its address.
        checksums: the file's SHA-256 or MD5 by its name, see `Checksum.parse`. Without one the file is taken as it
            comes, once: the manifest has its checksum, and a message says how to pin it.
        convert: a name in CONVERTERS, or None.

    Raises:
        DeepCacheError: if the address names no file, or the download or the conversion fails.
    """
    from deepcache.data.download import download_once

    file, origin = download_once(url, folder, checksums)
    if convert is None:
        return Fetched(folder, origin)
    converted = folder / "diffusers"
    CONVERTERS[convert](file, converted)
    return Fetched(converted, {**origin, "converted": convert})


def _convert_ldm(file: Path, folder: Path) -> None:
    from deepcache.files import atomic
    from deepcache.models.ldm import load_compvis

    with atomic(folder) as temporary:
        load_compvis(file).save_pretrained(temporary)


def _convert_ddpm(file: Path, folder: Path) -> None:
    from deepcache.files import atomic
    from deepcache.models.ddpm_original import load_original

    with atomic(folder) as temporary:
        load_original(file).save_pretrained(temporary)


CONVERTERS: dict[str, Callable[[Path, Path], None]] = {"ldm": _convert_ldm, "ddpm": _convert_ddpm}
