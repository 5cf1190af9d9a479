"""Manifests of datasets: where one lies, what it consists of, and that it is what it was."""

import hashlib
import json
from pathlib import Path

from deepcache.data.datasets import IMAGE_FORMATS, PROMPT_FORMATS, open_images, open_prompts
from deepcache.data.formats import Images
from deepcache.data.formats.folder import list_files
from deepcache.data.picture_prompts import PicturePrompts
from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE, sha256, write_json

NOT_DATA = {"lock.mdb"}  # written by whoever opens an LMDB with a lock


def write_manifest(
    output: str | Path,
    name: str,
    form: str,
    path: Path | None,
    source: str,
    origin: dict | None = None,
    licence: str | None = None,
) -> dict:
    """Open a dataset, read its first image, and write its manifest, through which it is opened from then on.

    Args:
        output: the manifest to write, JSON.
        name: the dataset's name in the config.
        form: one of IMAGE_FORMATS or PROMPT_FORMATS of deepcache.data.datasets.
        path: the file or folder; None for the bundled digits.
        source: `bundled`, `local`, `url` or `random`.
        origin: where it comes from.
        licence: under which it may be used.

    Returns:
        The manifest: all of these, the number of items (images or prompts), of bytes, and the fingerprint.

    Raises:
        DeepCacheError: if the dataset is missing, empty or not of that format.
    """
    if path is not None and not path.exists():
        raise DeepCacheError(f"{path}: no such file or folder")
    if form in PROMPT_FORMATS:
        items = len(open_prompts(form, path))
    else:
        images = open_images(form, path)
        next(images.read())
        items = len(images)
    manifest = {
        "name": name,
        "format": form,
        "source": source,
        "origin": origin,
        "licence": licence,
        "path": None if path is None else str(path),
        "items": items,
        "bytes": 0 if path is None else sum(size for _, size in _sizes(path)),
        "fingerprint": fingerprint(path),
    }
    write_json(output, manifest)
    return manifest


def open_manifest(path: str | Path) -> dict:
    """Return what `write_manifest` wrote, after checking that the dataset is still there and the same.

    Raises:
        DeepCacheError: if it is missing, or the fingerprint is another one.
    """
    try:
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
        place, expected = manifest["path"], manifest["fingerprint"]
        manifest["name"], manifest["format"], manifest["items"]
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not a dataset's manifest ({error})") from error
    if place is not None and not Path(place).exists():
        raise DeepCacheError(f"{place} is missing, which {path} lists: restore it, or delete the manifest")
    if fingerprint(None if place is None else Path(place)) != expected:
        raise DeepCacheError(f"{place or 'the dataset'} changed since {path} was written: delete the manifest")
    return manifest


def open_dataset(manifest: dict, image_size: int, images: int | None = None) -> Images:
    """Open the images of a manifest that `open_manifest` returned.

    Args:
        manifest: the manifest.
        image_size: side in pixels of images that can be made at any size.
        images: how many are needed.

    Raises:
        DeepCacheError: if it is a dataset of prompts, is damaged, or has fewer images.
    """
    name, form = manifest["name"], manifest["format"]
    if form not in IMAGE_FORMATS:
        raise DeepCacheError(f"datasets.{name}: {form} holds prompts, not images")
    found = open_images(form, manifest["path"] and Path(manifest["path"]), image_size)
    if images is not None and len(found) < images:
        raise DeepCacheError(f"datasets.{name}: holds {len(found)} images, {images} are asked for: lower the number")
    return found


def read_prompts(path: str | Path) -> list[str] | PicturePrompts:
    """Texts, or pictures, of the dataset whose manifest is at `path`; DeepCacheError if it is damaged."""
    return prompts_of(open_manifest(path))


def prompts_of(manifest: dict) -> list[str] | PicturePrompts:
    """As `read_prompts`, of a manifest that `open_manifest` returned."""
    if manifest["format"] in IMAGE_FORMATS:
        return PicturePrompts(open_images(manifest["format"], manifest["path"] and Path(manifest["path"])))
    return texts_of(manifest)


def texts_of(manifest: dict) -> list[str]:
    """The texts of a manifest that `open_manifest` returned; DeepCacheError if they are damaged or it has images."""
    if manifest["format"] not in PROMPT_FORMATS:
        raise DeepCacheError(f"datasets.{manifest['name']}: {manifest['format']} holds images, not prompts")
    return open_prompts(manifest["format"], Path(manifest["path"]))


def fingerprint(path: Path | None) -> str:
    """SHA-256 that tells one dataset from another.

    Of a file it is that of its content; of a folder, that of the sorted names and sizes of its files, since reading all
    of ImageNet would take an hour; of the bundled digits (None) that of their pixels.
    """
    if path is None:
        from deepcache.data.digits import digest

        return digest()
    if path.is_file():
        return sha256(path)
    return hashlib.sha256(json.dumps(_sizes(path)).encode()).hexdigest()


def _sizes(path: Path) -> list[tuple[str, int]]:
    """Names and sizes in bytes of the files that a dataset consists of."""
    if path.is_file():
        return [(path.name, path.stat().st_size)]
    return [(name, (path / name).stat().st_size) for name in list_files(path) if Path(name).name not in NOT_DATA]
