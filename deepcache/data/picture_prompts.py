"""Pictures that a model starts from, in place of words."""

from collections.abc import Sequence

import numpy as np

from deepcache.data.formats import Images


class PicturePrompts(Sequence[np.ndarray]):
    """A dataset's pictures by index, uint8, shape (H, W, 3), of any size. One is read when it is asked for, no other.

    Args:
        images: the dataset.
    """

    def __init__(self, images: Images):
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> np.ndarray:
        """Picture `index`, grey ones in colour; DeepCacheError if it cannot be decoded."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        picture = next(self._images.read(index))
        return np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
