"""Mean and covariance of features that arrive in batches."""

import numpy as np

from deepcache.errors import DeepCacheError


class Moments:
    """Sums from which mean and covariance follow, in float64, of features that are never all in memory.

    Features are counted from the mean of the first batch: far from zero, the covariance would be a small difference of
    large numbers.

    Attributes:
        count: number of images, n.
        shift: what features are counted from, float64, shape (D,); empty before the first batch.
        sum: sum of x - shift, float64, shape (D,).
        outer: sum of (x - shift)(x - shift)^T, float64, shape (D, D).
    """

    def __init__(self):
        self.count = 0
        self.shift = self.sum = np.zeros(0)
        self.outer = np.zeros((0, 0))

    def add(self, features: np.ndarray) -> None:
        """Add a batch of features, shape (B, D).

        Raises:
            DeepCacheError: if a feature is not finite, or there is another number of them than before.
        """
        if len(features) == 0:
            return
        if not np.isfinite(features).all():
            raise DeepCacheError("features contain NaN or infinity: the images or the extractor are broken")
        wide = features.astype(np.float64)
        if self.count == 0:
            self._start_at(wide.mean(axis=0))
        self._check(wide.shape[1])
        wide -= self.shift
        self.count += len(wide)
        self.sum += wide.sum(axis=0)
        self.outer += wide.T @ wide

    def merge(self, other: "Moments") -> None:
        """Add all that `other` has seen, as if it had come here; DeepCacheError if it has other dimensions."""
        if other.count == 0:
            return
        if self.count == 0:
            self._start_at(other.shift)
        self._check(other.shift.size)
        step = other.shift - self.shift
        cross = np.outer(other.sum, step)
        self.count += other.count
        self.sum += other.sum + other.count * step
        self.outer += other.outer + cross + cross.T + other.count * np.outer(step, step)

    def mean(self) -> np.ndarray:
        """Float64, shape (D,); DeepCacheError if there was no image."""
        if self.count == 0:
            raise DeepCacheError("a mean needs at least one image")
        return self.shift + self.sum / self.count

    def covariance(self) -> np.ndarray:
        """Unbiased, float64, shape (D, D); DeepCacheError if there were fewer than two images."""
        if self.count < 2:
            raise DeepCacheError(f"a covariance needs at least two images, not {self.count}")
        return (self.outer - np.outer(self.sum, self.sum) / self.count) / (self.count - 1)

    def state(self) -> dict[str, np.ndarray]:
        """All that is needed to go on later, as arrays."""
        return {"count": np.array(self.count), "shift": self.shift, "sum": self.sum, "outer": self.outer}

    @classmethod
    def restored(cls, state: dict[str, np.ndarray]) -> "Moments":
        """What `state` was taken of."""
        moments = cls()
        moments.count = int(state["count"])
        moments.shift, moments.sum, moments.outer = state["shift"], state["sum"], state["outer"]
        return moments

    def _start_at(self, shift: np.ndarray) -> None:
        self.shift, self.sum, self.outer = shift, np.zeros(shift.size), np.zeros((shift.size, shift.size))

    def _check(self, dimensions: int) -> None:
        if dimensions != self.shift.size:
            raise DeepCacheError(f"features have {dimensions} dimensions, those before had {self.shift.size}")
