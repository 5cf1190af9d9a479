"""What: the tensor that takes the place of the skipped feature."""

from abc import ABC, abstractmethod

import torch

from deepcache.errors import DeepCacheError


class Reuse(ABC):
    """Sees the feature at every full step of a trajectory and supplies one at every other step.

    Where the U-Net is called several times a step, each of these streams has a copy of its own (copy.deepcopy).
    """

    _served: object | None = None  # the cache that uses it now

    def check_free(self, cache: object) -> None:
        """DeepCacheError where another cache that is enabled has it: two would mix it up."""
        if self._served not in (None, cache):
            raise DeepCacheError("this reuse serves another cache, which is enabled: give each cache its own")

    def serve(self, cache: object | None) -> None:
        """Be an enabled cache's alone; None lets it go."""
        self._served = cache

    @abstractmethod
    def reset(self) -> None:
        """Forget everything: a new trajectory begins."""

    @abstractmethod
    def observe(self, step: int, feature: torch.Tensor) -> None:
        """Take the feature that a full step has just computed, shape (B, C, H, W)."""

    @abstractmethod
    def predict(self, step: int) -> torch.Tensor:
        """Supply the feature for a shallow step: shape, device and precision as observed."""

    def can_predict(self, step: int) -> bool:
        """Whether what was observed is enough for a step: a stream that began late has seen fewer full steps."""
        return bool(self.held)

    @property
    @abstractmethod
    def held(self) -> tuple[torch.Tensor, ...]:
        """The tensors that are kept between steps."""

    @property
    def nbytes(self) -> int:
        """Bytes kept between steps."""
        return sum(tensor.nbytes for tensor in self.held)


class Hold(Reuse):
    """The feature of the last full step as it is: the paper's method (Section 3.2, Eq. 5)."""

    def __init__(self):
        self._feature: torch.Tensor | None = None

    def reset(self) -> None:  # noqa: D102
        self._feature = None

    def observe(self, step: int, feature: torch.Tensor) -> None:  # noqa: D102
        self._feature = feature

    def predict(self, step: int) -> torch.Tensor:  # noqa: D102
        return self._feature

    @property
    def held(self) -> tuple[torch.Tensor, ...]:  # noqa: D102
        return () if self._feature is None else (self._feature,)


class Zeros(Hold):
    """Zeros instead of the feature: the paper's control experiment (Table 5)."""

    def observe(self, step: int, feature: torch.Tensor) -> None:  # noqa: D102
        if self._feature is None:
            self._feature = torch.zeros_like(feature)
