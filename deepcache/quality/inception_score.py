"""Inception score from a classifier's logits, as ADM's evaluator defines it."""

import math

import numpy as np
import torch
from torch.special import xlogy

from deepcache.errors import DeepCacheError

SPLIT_SIZE = 5000


class InceptionScore:
    """Mean over chunks of consecutive images of exp(mean over x of KL(p(y|x) || p(y))) (Salimans et al. 2016, Sec. 4).

    Chunks follow the order of the images, unshuffled, and the last may be shorter (Dhariwal and Nichol 2021,
    evaluator): p(y) is the mean of a chunk, so the score depends on the order. By mean KL = mean(sum p log p) -
    sum(p(y) log p(y)) a chunk needs two sums only, whatever batches it comes in.

    Args:
        split_size: images in a chunk.

    Raises:
        DeepCacheError: unless split_size is positive.
    """

    def __init__(self, split_size: int = SPLIT_SIZE):
        if split_size < 1:
            raise DeepCacheError(f"split_size must be at least 1, not {split_size}")
        self.split_size = split_size
        self.count = 0  # images so far
        self._classes: int | None = None
        self._finished: list[float] = []
        self._start_chunk()

    def add(self, logits: np.ndarray | torch.Tensor) -> None:
        """Add the next images' logits, shape (B, C), any B; on a GPU they are reduced there.

        Raises:
            DeepCacheError: if a logit is not finite, or C is not that of the images before.
        """
        logits = torch.as_tensor(logits)
        if logits.ndim != 2 or self._classes not in (None, logits.shape[1]):
            expected = f"(images, {self._classes or 'classes'})"
            raise DeepCacheError(f"logits must have shape {expected}, not {tuple(logits.shape)}")
        if not logits.isfinite().all():
            raise DeepCacheError("logits contain NaN or infinity: the images or the classifier are broken")
        self._classes = logits.shape[1]
        while len(logits):
            part, logits = logits.tensor_split([self.split_size - self._images])
            log_p = part.double().log_softmax(dim=1)
            p = log_p.exp()
            self._sum_p = self._sum_p + p.sum(dim=0).cpu()
            self._sum_p_log_p += (p * log_p).sum().item()
            self._images += len(part)
            self.count += len(part)
            if self._images == self.split_size:
                self._finished.append(self._of_chunk())
                self._start_chunk()

    def score(self) -> float:
        """The score of all images so far, between 1 and C.

        Raises:
            DeepCacheError: if there are fewer than two images.
        """
        if self.count < 2:
            raise DeepCacheError(f"the inception score is undefined for fewer than two images, here {self.count}")
        return float(np.mean(self._finished + ([self._of_chunk()] if self._images else [])))

    def _start_chunk(self) -> None:
        self._images, self._sum_p, self._sum_p_log_p = 0, 0.0, 0.0

    def _of_chunk(self) -> float:
        marginal = self._sum_p / self._images
        kl = self._sum_p_log_p / self._images - xlogy(marginal, marginal).sum().item()
        return math.exp(max(0.0, kl))


def inception_score(logits: np.ndarray | torch.Tensor, split_size: int = SPLIT_SIZE) -> float:
    """The score of logits, shape (N, C), that are all at hand; see `InceptionScore`."""
    total = InceptionScore(split_size)
    total.add(logits)
    return total.score()
