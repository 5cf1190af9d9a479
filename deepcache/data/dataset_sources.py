"""Where datasets come from: each source puts one in its place and says what it was made of."""

from dataclasses import dataclass
from pathlib import Path

from deepcache.data.archives import stem, unpack
from deepcache.data.download import download_once
from deepcache.data.random_datasets import write_random
from deepcache.errors import DeepCacheError
from deepcache.files import sha256 as digest


@dataclass(frozen=True)
class Fetched:
    """A dataset that is here now.

    Attributes:
        path: its file or folder; None for the digits, which come with scikit-learn.
        origin: address, checksum, or how it was made, as plain values for the manifest.
    """

    path: Path | None
    origin: dict


def in_place(path: Path, sha256: dict[str, str]) -> Fetched:
    """A dataset that lies somewhere already: bundled with the repository, or the user's own.

    Args:
        path: its file or folder.
        sha256: expected SHA-256 by file name (relative to the folder), or the first 8 digits or more of it.

    Raises:
        DeepCacheError: if there is no such file or folder, or a checksum is another one.
    """
    if not path.exists():
        raise DeepCacheError(f"{path}: no such file or folder: correct the dataset's folder in the config")
    for name, expected in sha256.items():
        file = path / name if path.is_dir() else path.with_name(name)
        found = digest(file) if file.is_file() else "(no such file)"
        if not found.startswith(expected.lower()):
            raise DeepCacheError(f"{file} has SHA-256 {found}, expected {expected}")
    return Fetched(path, {"folder": str(path)})


def from_url(folder: Path, url: str, sha256: dict[str, str], unpacked: bool, member: str | None) -> Fetched:
    """Download a file into the folder and, if asked, unpack it beside itself.

    Args:
        folder: where the file is put.
        url: its address.
        sha256: the file's SHA-256 by its name. Without one the file is taken as it comes, once: the manifest has its
            checksum, and a message says how to pin it.
        unpacked: whether the file is an archive to be unpacked.
        member: the dataset's path inside the archive; None for all of it.

    Raises:
        DeepCacheError: if the address names no file or not the one of the checksum, the download or the unpacking
            fails, or there is no such member.
    """
    file, origin = download_once(url, folder, sha256)
    if not unpacked:
        return Fetched(file, origin)
    place = folder / f"{stem(file)}-{origin['file_sha256'][:8]}"  # another archive of the same name goes elsewhere
    if not place.is_dir():
        unpack(file, place)
    return Fetched(_member(place, member), {**origin, "member": member})


def _member(place: Path, member: str | None) -> Path:
    path = place if member is None else place / member
    if not path.resolve().is_relative_to(place.resolve()):
        raise DeepCacheError(f"member {member!r} lies outside the archive: give a path inside it")
    if not path.exists():
        inside = sorted(entry.name for entry in place.iterdir())
        raise DeepCacheError(f"{place}: has no member {member!r}; it has {', '.join(inside[:10])}")
    return path


def from_seed(folder: Path, form: str, images: int, image_size: int, seed: int) -> Fetched:
    """Write seeded random images into the folder; DeepCacheError as from `write_random`."""
    path = folder / ("random.npz" if form == "npz" else "random")
    write_random(form, path, images, image_size, seed)
    return Fetched(path, {"images": images, "image_size": image_size, "seed": seed})
