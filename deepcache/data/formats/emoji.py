"""The emoji that emoji-sd is trained on, as a dataset."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from deepcache.data.emoji import seen_and_unseen


class EmojiPictures:
    """Pictures of one style, without the names held out: see `deepcache.data.emoji`.

    Args:
        folder: a folder such as resources/emoji.

    Raises:
        DeepCacheError: if it is not one.
    """

    def __init__(self, folder: Path):
        self._images = seen_and_unseen(folder)[0].images

    def __len__(self) -> int:
        return len(self._images)

    def read(self, start: int = 0) -> Iterator[np.ndarray]:
        """See `Images.read`; shape (32, 32, 3)."""
        yield from self._images[start:]
