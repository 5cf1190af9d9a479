"""Formats in which image datasets are published: one reader a module, all with the interface `Images`."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np


class Images(Protocol):
    """A dataset of images in a stable order, read one at a time."""

    def __len__(self) -> int:
        """Number of images."""

    def read(self, start: int = 0) -> Iterator[np.ndarray]:
        """Yield the images from index `start` on: uint8, shape (H, W, C), where C is 3, or 1 for grey datasets.

        Raises:
            DeepCacheError: at an image that cannot be decoded; the message names it.
        """
