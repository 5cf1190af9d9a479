"""The bundled digits as a dataset."""

from collections.abc import Iterator

import numpy as np

from deepcache.data.digits import NUM_IMAGES, load_digits


class Digits:
    """The 1,797 digits, grey: see `deepcache.data.digits.load_digits`.

    Args:
        image_size: side in pixels, a multiple of 8.

    Raises:
        DeepCacheError: if image_size is another number.
    """

    def __init__(self, image_size: int):
        self._images = load_digits(image_size)[0].permute(0, 2, 3, 1).contiguous().numpy()

    def __len__(self) -> int:
        return NUM_IMAGES

    def read(self, start: int = 0) -> Iterator[np.ndarray]:
        """See `Images.read`; shape (image_size, image_size, 1)."""
        yield from self._images[start:]
