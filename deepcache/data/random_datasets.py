"""Small datasets of seeded random images in the formats of the real ones, for runs that only try the workflow out."""

import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from deepcache.data.formats import cifar10
from deepcache.data.formats.npz import IMAGES, MOMENTS
from deepcache.errors import DeepCacheError
from deepcache.files import atomic

COARSE = 4  # pixels on each side before an image is enlarged: smooth shapes, as photographs have them, not noise


def random_images(count: int, image_size: int, seed: int) -> Iterator[np.ndarray]:
    """Yield coloured clouds, uint8, shape (image_size, image_size, 3); image j depends on (seed, j) alone."""
    for index in range(count):
        coarse = np.random.default_rng([seed, index]).integers(0, 256, (COARSE, COARSE, 3), dtype=np.uint8)
        yield np.asarray(Image.fromarray(coarse).resize((image_size, image_size), Image.Resampling.BICUBIC))


def write_random(form: str, path: Path, count: int, image_size: int, seed: int) -> None:
    """Write a dataset, whole or not at all.

    Args:
        form: one of WRITERS.
        path: the folder (for `npz`: the file) to write; what was there is replaced.
        count: number of images.
        image_size: side of the images in pixels; 32 for `cifar10`.
        seed: of the images.

    Raises:
        DeepCacheError: if there is no such format, or the format has another image size.
    """
    if form not in WRITERS:
        raise DeepCacheError(f"format {form!r} has no random images: use {', '.join(WRITERS)}")
    if form == "cifar10" and image_size != cifar10.SIDE:
        raise DeepCacheError(f"CIFAR-10's images have {cifar10.SIDE} pixels a side, not {image_size}")
    with atomic(path) as temporary:
        WRITERS[form](temporary, random_images(count, image_size, seed))


def write_folder(path: Path, images: Iterator[np.ndarray]) -> None:
    """PNG files in ten class folders."""
    for index, image in enumerate(images):
        file = path / f"class-{index % 10}" / f"{index:05d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_encoded(image, "PNG"))


def write_cifar10(path: Path, images: Iterator[np.ndarray]) -> None:
    """Five batches as in cifar-10-batches-py."""
    path.mkdir()
    pixels = np.stack(list(images)).transpose(0, 3, 1, 2).reshape(-1, 3 * cifar10.SIDE**2)
    for name, data in zip(cifar10.BATCHES, np.array_split(pixels, len(cifar10.BATCHES)), strict=True):
        (path / name).write_bytes(pickle.dumps({"data": data, "labels": [0] * len(data)}, protocol=4))


def write_lmdb(path: Path, images: Iterator[np.ndarray]) -> None:
    """WebP images, as LSUN has them, though without loss, under random keys of 40 hexadecimal digits."""
    import lmdb

    rng = np.random.default_rng(0)
    with (
        lmdb.open(str(path), map_size=2**36, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        for image in images:
            transaction.put(rng.bytes(20).hex().encode(), _encoded(image, "WEBP", lossless=True))


def write_npz(path: Path, images: Iterator[np.ndarray], moments: bool = True) -> None:
    """ADM's reference batch: arr_0 and, if asked, mu, sigma, mu_s, sigma_s of made-up features (sigma is diagonal)."""
    rng = np.random.default_rng(0)
    values = {key: rng.uniform(0.5, 1.5, shape[0]) for key, shape in MOMENTS.items()} if moments else {}
    stored = {key: np.diag(value) if key.startswith("sigma") else value for key, value in values.items()}
    with path.open("wb") as file:
        np.savez_compressed(file, **{IMAGES: np.stack(list(images))}, **stored)


WRITERS: dict[str, Callable[[Path, Iterator[np.ndarray]], None]] = {
    "folder": write_folder,
    "cifar10": write_cifar10,
    "lmdb": write_lmdb,
    "npz": write_npz,
}


def _encoded(image: np.ndarray, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()
