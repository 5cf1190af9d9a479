"""Reference statistics of a dataset: streamed, resumable, and labelled with all that decides them."""

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from deepcache.data.datasets import batches, read_prepared
from deepcache.data.formats import Images
from deepcache.data.formats.npz import Npz
from deepcache.errors import DeepCacheError
from deepcache.models.checkpoints import open_checkpoint
from deepcache.progress import progress
from deepcache.quality.partial import Partial
from deepcache.quality.statistics import Accumulator, Statistics

COMPUTED = "of these images"
STORED = "stored in the dataset's file: of the whole training set"


def has_stored_moments(images: Images, extractor: str) -> bool:
    """Whether the dataset brings the moments that this extractor would give: ADM's reference batches do."""
    return extractor == "inception-adm" and isinstance(images, Npz) and images.has_moments


def compute_statistics(
    images: Images,
    features: Callable[[np.ndarray], dict[str, np.ndarray]],
    about: dict,
    partial: Partial,
    batch_size: int,
) -> Statistics:
    """Compute reference statistics, from where an earlier attempt was stopped.

    The result is the same bit for bit whether the computation was stopped or not.

    Args:
        images: the dataset.
        features: an extractor, which gives `pool`, `spatial` and `clean`: see
            deepcache.quality.extractors.load_extractor.
        about: `dataset`, `images` (how many, the first ones), `crop`, `image_size`, `features` (of how many images, the
            first ones, the pooled features are kept), `extractor`, and whatever else says where the statistics come
            from.
        partial: holds the state meanwhile, and is removed in the end.
        batch_size: images at a time.

    Returns:
        The statistics. Where the dataset brings moments (see `has_stored_moments`) those are taken, and only what they
        do not cover (the clean features' moments and the kept features) is of the dataset's images. Its `about` has the
        numbers that were found, `moments` and `moments_clean`, where those come from, and `content_sha256`, a hash over
        the images as the extractor saw them.

    Raises:
        DeepCacheError: if an image is damaged or has the wrong size, or stored moments belong to another size.
    """
    stored = has_stored_moments(images, about["extractor"])
    if stored and images.shape[1:3] != (about["image_size"], about["image_size"]):
        height, width = images.shape[1:3]
        raise DeepCacheError(
            f"datasets.{about['dataset']}: its moments are of images of {width}x{height} pixels: use that image size"
        )
    try:
        accumulator, content = _accumulate(images, features, about, partial, batch_size)
        statistics = accumulator.statistics({})
    except DeepCacheError as error:
        raise DeepCacheError(f"datasets.{about['dataset']}: {error}") from error
    found = {"features": len(statistics.features), "content_sha256": content.hex()}
    origin = {"moments": STORED if stored else COMPUTED, "moments_clean": COMPUTED}
    stored_moments = images.moments() if stored else {}
    partial.discard()
    return replace(statistics, about={**about, **found, **origin}, **stored_moments)


def _accumulate(
    images: Images,
    features: Callable[[np.ndarray], dict[str, np.ndarray]],
    about: dict,
    partial: Partial,
    batch_size: int,
) -> tuple[Accumulator, bytes]:
    """Features of the images, and a hash of the images: a chain, so that it can be taken up again."""
    total = about["images"]
    accumulator, position, content = Accumulator(about["features"]), 0, b""
    state = partial.load()
    if state is not None:
        position, content = int(state.pop("position")), state.pop("content").tobytes()
        accumulator = Accumulator.restored(state, about["features"])
        print(f"going on from image {position} of {total}", file=sys.stderr)
    prepared = read_prepared(images, about["image_size"], about["crop"], position)
    with progress(None, about["dataset"], unit="image", total=total, initial=position) as bar:
        for batch in batches(islice(prepared, total - position), batch_size, mixed=about["crop"] == "whole"):
            accumulator.add(features(batch))
            for image in batch:
                content = hashlib.sha256(content + repr(image.shape).encode() + image.tobytes()).digest()
            position += len(batch)
            bar.update(len(batch))
            if partial.due() and position < total:
                done = {"position": np.array(position), "content": np.frombuffer(content, np.uint8)}
                partial.save({**accumulator.state(), **done})
    return accumulator, content


def open_reference(path: str | Path, extractor: str, weights: str | Path) -> tuple[Statistics, Path]:
    """Read reference statistics for samples that an extractor measures.

    Args:
        path: what `Statistics.save` wrote.
        extractor: kind of the extractor.
        weights: manifest of its weights.

    Returns:
        The statistics, and the folder of the weights.

    Raises:
        DeepCacheError: if they were made with another extractor or other weights.
    """
    folder, manifest = open_checkpoint(weights)
    reference = Statistics.load(path)
    asked = {"extractor": extractor, "extractor_sha256": manifest["sha256"]}
    if any(reference.about[key] != value for key, value in asked.items()):
        raise DeepCacheError(f"{path} was not made with {extractor} of {weights}")
    return reference, folder
