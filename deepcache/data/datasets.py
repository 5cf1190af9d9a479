"""Datasets by format: images one at a time, prompts as a list."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from deepcache.data.crop import prepare
from deepcache.data.formats import Images
from deepcache.data.formats.cifar10 import Cifar10
from deepcache.data.formats.emoji import EmojiPictures
from deepcache.data.formats.folder import Folder
from deepcache.data.formats.lmdb import Lmdb
from deepcache.data.formats.npz import Npz
from deepcache.data.prompts import read_prompts
from deepcache.errors import DeepCacheError


def _digits(path: Path | None, image_size: int | None) -> Images:
    from deepcache.data.formats.digits import Digits  # torch, which the other formats do without

    return Digits(16 if image_size is None else image_size)


# Openers by format, called with where the dataset lies and the side in pixels of the images asked for; the latter
# matters only to the digits, which are made at any size.
IMAGE_FORMATS: dict[str, Callable[[Path | None, int | None], Images]] = {
    "digits": _digits,
    "emoji": lambda path, image_size: EmojiPictures(path),
    "folder": lambda path, image_size: Folder(path),
    "cifar10": lambda path, image_size: Cifar10(path),
    "lmdb": lambda path, image_size: Lmdb(path),
    "npz": lambda path, image_size: Npz(path),
}
PROMPT_FORMATS: dict[str, Callable[[Path], list[str]]] = {
    kind: partial(read_prompts, kind=kind) for kind in ("partiprompts", "coco", "captions", "text")
}


def open_images(form: str, path: Path | None, image_size: int | None = None) -> Images:
    """Open a dataset of images.

    Args:
        form: one of IMAGE_FORMATS.
        path: where it lies; None for the digits.
        image_size: side in pixels of images that can be made at any size.

    Raises:
        DeepCacheError: if there is no such format, or the dataset is missing, empty or damaged.
    """
    if form not in IMAGE_FORMATS:
        raise DeepCacheError(f"format {form!r} is not one of images: use {', '.join(IMAGE_FORMATS)}")
    return IMAGE_FORMATS[form](path, image_size)


def open_prompts(form: str, path: Path) -> list[str]:
    """Read a dataset of prompts in one of PROMPT_FORMATS; DeepCacheError as from `read_prompts`."""
    if form not in PROMPT_FORMATS:
        raise DeepCacheError(f"format {form!r} is not one of prompts: use {', '.join(PROMPT_FORMATS)}")
    return PROMPT_FORMATS[form](path)


def read_prepared(images: Images, image_size: int, crop: str, start: int = 0) -> Iterator[np.ndarray]:
    """Yield the images from index `start` on, cropped and resized: see `deepcache.data.crop.prepare`.

    Raises:
        DeepCacheError: if an image is damaged or has the wrong size; the message has its name or its index.
    """
    for index, image in enumerate(images.read(start), start):
        try:
            yield prepare(image, image_size, crop)
        except DeepCacheError as error:
            raise DeepCacheError(f"image {index}: {error}") from error


def batches(images: Iterable[np.ndarray], size: int, mixed: bool = False) -> Iterator[np.ndarray]:
    """Stack images, uint8, shape (H, W, C), into batches of `size`, shape (B, H, W, C); the last may be smaller.

    Args:
        images: in order.
        size: B.
        mixed: whether shapes may differ: then a batch also ends where the next image has another one.

    Raises:
        DeepCacheError: if two images of a batch would have different shapes.
    """
    batch: list[np.ndarray] = []
    for image in images:
        if batch and image.shape != batch[0].shape:
            if not mixed:
                raise DeepCacheError(f"images of shapes {batch[0].shape} and {image.shape} are mixed")
            yield np.stack(batch)
            batch = []
        batch.append(image)
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
