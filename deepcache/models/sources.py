"""Where checkpoints come from: each source puts one into a folder and says what it was made of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deepcache.errors import DeepCacheError


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


def from_hub(folder: Path, repository: str, revision: str, include: list[str] | None) -> Fetched:
    """Download a repository, or some of its files, at a pinned commit; DeepCacheError where that fails."""
    from deepcache.data.hub import download_repository

    download_repository(repository, revision, folder, include)
    return Fetched(folder, {"repository": repository, "revision": revision})


def from_url(folder: Path, url: str, sha256: dict[str, str], convert: str | None) -> Fetched:
    """Download a file into the folder and, if asked, convert it into a folder beside it.

    Args:
        folder: where the file is put.
        url: its address.
        sha256: the file's SHA-256 by its name; required, since nothing else says what an address holds tomorrow.
        convert: a name in CONVERTERS, or None.

    Raises:
        DeepCacheError: if there is no checksum, or the download or the conversion fails.
    """
    from deepcache.data.download import download, shown

    name = Path(unquote(urlsplit(url).path)).name
    if name not in sha256:
        raise DeepCacheError(f"{shown(url)}: sha256 must give the checksum of {name or 'a file'}")
    download(url, folder / name, sha256[name])
    origin = {"url": shown(url), "file": name, "file_sha256": sha256[name]}
    if convert is None:
        return Fetched(folder, origin)
    converted = folder / "diffusers"
    CONVERTERS[convert](folder / name, converted)
    return Fetched(converted, {**origin, "converted": convert})


def _convert_ldm(file: Path, folder: Path) -> None:
    from deepcache.models.ldm import load_compvis
    from deepcache.results.files import atomic

    with atomic(folder) as temporary:
        load_compvis(file).save_pretrained(temporary)


CONVERTERS: dict[str, Callable[[Path, Path], None]] = {"ldm": _convert_ldm}
