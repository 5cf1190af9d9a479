"""Sampling batch after batch without letting the device wait, in batches that fit into its memory."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from deepcache.fitting import Fitting


@dataclass(frozen=True)
class Sampled:
    """What a job has sampled.

    Attributes:
        images: uint8, shape (number of indices, H, W, C).
        batch_sizes: of each batch, in order: smaller than asked for where the memory was too small.
        seconds: from the first step to the last image.
    """

    images: np.ndarray
    batch_sizes: tuple[int, ...]
    seconds: float


def sample_batches(
    make_images: Callable[[Sequence[int]], torch.Tensor], indices: Sequence[int], batch_size: int
) -> Sampled:
    """Sample images in batches; those of one batch are fetched while the device is at the next.

    A batch that does not fit into the device's memory is sampled again in two halves, and the following ones have the
    smaller size. The noise of an image depends on its index, not on its batch.

    Args:
        make_images: indices -> images, uint8, shape (B, H, W, C), on the device, which may still be at work on them.
        indices: of the images.
        batch_size: the most that are sampled at a time.

    Raises:
        DeepCacheError: if not even one image fits.
    """
    start = time.perf_counter()
    with ThreadPoolExecutor(max_workers=1) as fetcher:
        sampled = Fitting(lambda batch: (len(batch), fetcher.submit(_fetch, make_images(batch))), batch_size)
        sizes, fetched = zip(*sampled(indices), strict=True)
        arrays = [one.result() for one in fetched]
    return Sampled(np.concatenate(arrays), sizes, time.perf_counter() - start)


def _fetch(images: torch.Tensor) -> np.ndarray:
    return images.cpu().numpy()
