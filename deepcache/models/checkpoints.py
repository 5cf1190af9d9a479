"""Checkpoints: where one lies, what it consists of, and that it is what it was."""

import json
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE, sha256, write_json
from deepcache.package_weights import package_folder

WEIGHTS = (".safetensors", ".bin", ".ckpt", ".pth")


def write_manifest(
    path: str | Path,
    name: str,
    folder: str | Path,
    source: str,
    expected: dict[str, str],
    origin: dict | None = None,
    licence: str | None = None,
) -> dict:
    """Check a checkpoint's folder and write its manifest, through which it is opened from then on.

    Args:
        path: the manifest to write, JSON.
        name: the checkpoint's name in the config.
        folder: where the checkpoint lies.
        source: `shipped`, `train`, `random`, `local`, `hub`, `url` or `package`.
        expected: SHA-256 by file name relative to the folder; empty where nothing is known beforehand.
        origin: where it comes from: address, repository and revision.
        licence: under which it may be used.

    Returns:
        The manifest: all of these, and the SHA-256 of every weight file.

    Raises:
        DeepCacheError: if the folder has no weights or a checksum is not the expected one.
    """
    folder = Path(folder)
    files = [file for file in sorted(folder.rglob("*")) if file.suffix in WEIGHTS and file.is_file()]
    found = {str(file.relative_to(folder)): sha256(file) for file in files}
    if not found:
        raise DeepCacheError(f"checkpoints.{name}: no weights (*{', *'.join(WEIGHTS)}) in {folder}")
    for file, digest in expected.items():
        if not found.get(file, "").startswith(digest):
            actual = found.get(file, "(no such file)")
            raise DeepCacheError(f"checkpoints.{name}: {folder / file} has SHA-256 {actual}, expected {digest}")
    manifest = {
        "name": name,
        "source": source,
        "origin": origin,
        "licence": licence,
        "folder": str(folder),
        "sha256": found,
    }
    write_json(path, manifest)
    return manifest


def read_manifest(manifest: str | Path) -> tuple[Path, dict]:
    """Return the folder and the manifest of a checkpoint, whose weights are not looked at.

    Raises:
        DeepCacheError: if the file is no manifest, or the package that brought the checkpoint is not installed.
    """
    try:
        content = json.loads(Path(manifest).read_text(encoding="utf-8"))
        folder, _ = Path(content["folder"]), dict(content["sha256"])
        package = content["origin"]["package"] if content["source"] == "package" else None
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{manifest}: not a checkpoint manifest ({error})") from error
    if package is not None:  # it need not lie where it lay, in another environment
        folder = package_folder(package)
    return folder, content


def open_checkpoint(manifest: str | Path) -> tuple[Path, dict]:
    """Return the folder and the manifest of a checkpoint, after checking that the weights are still the same.

    Raises:
        DeepCacheError: if a weight file is missing or has changed since the manifest was written, or as from
            `read_manifest`.
    """
    folder, content = read_manifest(manifest)
    for file, digest in content["sha256"].items():
        if not (folder / file).is_file() or sha256(folder / file) != digest:
            raise DeepCacheError(
                f"{folder / file} is missing or not the file that {manifest} lists: restore it, or delete the manifest"
            )
    return folder, content


def open_weights(place: str | Path) -> tuple[Path, dict]:
    """Return the folder of some weights, and where they come from: by their manifest, or by the folder alone.

    Args:
        place: the manifest, see `open_checkpoint`; or the folder, of which nothing is known but its name (`folder`).

    Raises:
        DeepCacheError: as from `open_checkpoint`.
    """
    place = Path(place)
    return (place, {"folder": str(place)}) if place.is_dir() else open_checkpoint(place)
