"""Batches that fit into the device's memory: one that does not is halved, and so are those that follow."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

import torch

from deepcache.errors import DeepCacheError

logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class Fitting(Generic[Result]):
    """A function of batches that is called with as many items as the memory holds.

    Args:
        function: of one or several sequences of the same length, such as images and their prompts.
        largest: the most items at a time; None for as many as come.
    """

    def __init__(self, function: Callable[..., Result], largest: int | None = None):
        self._function, self._largest = function, largest

    def __call__(self, *batches: Sequence) -> Iterator[Result]:
        """Yield what the function makes of the batches, part by part.

        Raises:
            DeepCacheError: if not even one item fits.
        """
        done = 0
        while done < len(batches[0]):
            parts = [batch[done:][: self._largest] for batch in batches]
            count, fits = len(parts[0]), True
            try:
                result = self._function(*parts)
            except torch.OutOfMemoryError as error:
                if count == 1:
                    raise DeepCacheError("the device's memory does not hold the model and one image") from error
                self._largest, fits = count // 2, False
                logger.warning("%d images do not fit into the device's memory: going on with %d", count, self._largest)
            if not fits:
                torch.cuda.empty_cache()  # here, since the exception holds what had been allocated
                continue
            yield result
            done += count
