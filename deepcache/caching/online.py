"""When, asked step by step."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

from deepcache.caching.schedules import explicit, is_integer
from deepcache.errors import DeepCacheError


class OnlineSchedule(ABC):
    """Says at each step of a trajectory whether it runs fully."""

    @abstractmethod
    def reset(self) -> None:
        """Begin a trajectory."""

    @abstractmethod
    def is_full(self, step: int, sample: torch.Tensor) -> bool:
        """Whether a step runs fully; called once for each, in order.

        Args:
            step: from 0.
            sample: what the U-Net is called with, shape (B, C, H, W); where it is called several times a step, first.
        """


class Every(OnlineSchedule):
    """Steps 0, N, 2N, ...

    Args:
        interval: N.

    Raises:
        DeepCacheError: if it is not an integer of at least 1.
    """

    def __init__(self, interval: int):
        if not is_integer(interval) or interval < 1:
            raise DeepCacheError(f"interval must be an integer of at least 1, not {interval!r}")
        self.interval = interval

    def reset(self) -> None:  # noqa: D102
        pass

    def is_full(self, step: int, sample: torch.Tensor) -> bool:  # noqa: D102
        return step % self.interval == 0


class Listed(OnlineSchedule):
    """The steps of a list.

    Args:
        steps: see `explicit`.

    Raises:
        DeepCacheError: as from `explicit`.
    """

    def __init__(self, steps: Sequence[int]):
        self._steps = frozenset(explicit(steps))

    def reset(self) -> None:  # noqa: D102
        pass

    def is_full(self, step: int, sample: torch.Tensor) -> bool:  # noqa: D102
        return step in self._steps


def online(interval: int | None, schedule: Sequence[int] | OnlineSchedule | None) -> OnlineSchedule:
    """What is asked step by step, of an interval or a schedule.

    Raises:
        DeepCacheError: if there is not exactly one of them, or it is out of range.
    """
    if (interval is None) == (schedule is None):
        raise DeepCacheError("give DeepCache either an interval or a schedule")
    if interval is not None:
        return Every(interval)
    return schedule if isinstance(schedule, OnlineSchedule) else Listed(schedule)
