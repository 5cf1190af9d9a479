"""When, decided while it samples: a step is full once the U-Net's input has changed by more than a threshold."""

from collections.abc import Callable, Sequence

import torch

from deepcache.caching.online import OnlineSchedule
from deepcache.caching.schedules import check_budget
from deepcache.errors import DeepCacheError

DOUBLINGS = 60  # of a threshold that is sought: beyond them nothing changes any more


class InputChange(OnlineSchedule):
    """Full steps by the change of the U-Net's input since the last one, with exactly as many of them as are allowed.

    The change is ||x - x_last|| / ||x_last|| over the whole batch, which shares its steps; reading it waits for the
    device once a step. What the threshold does not spend, the last steps do, so that the cost is that of any other
    schedule with as many full steps.

    Args:
        num_steps: calls of the U-Net in a trajectory, T.
        num_full: number of full steps, k.
        threshold: of the relative change.

    Raises:
        DeepCacheError: unless 1 <= num_full <= num_steps and the threshold is at least 0.
    """

    def __init__(self, num_steps: int, num_full: int, threshold: float):
        check_numbers(num_steps, num_full, threshold)
        self.num_steps, self.num_full, self.threshold = num_steps, num_full, threshold
        self.reset()

    def reset(self) -> None:  # noqa: D102
        self._last: torch.Tensor | None = None
        self._spent = 0

    def is_full(self, step: int, sample: torch.Tensor) -> bool:  # noqa: D102
        left = self.num_full - self._spent
        if left == 0:
            return False
        new = self._last is None or self._last.shape != sample.shape  # such as where guidance has ended
        forced = new or self.num_steps - step <= left
        if not forced and relative_change(sample, self._last) <= self.threshold:
            return False
        self._last = sample.detach().clone()  # samplers may write into it
        self._spent += 1
        return True


def check_numbers(num_steps: int, num_full: int, threshold: float) -> None:
    """DeepCacheError unless 1 <= num_full <= num_steps and the threshold is at least 0."""
    check_budget(num_steps, num_full)
    if not threshold >= 0:
        raise DeepCacheError(f"threshold must be a number of at least 0, not {threshold!r}")


def relative_change(sample: torch.Tensor, last: torch.Tensor) -> float:
    """||sample - last|| / ||last||, in float32."""
    return float((sample.float() - last.float()).norm() / last.float().norm())


def find_threshold(inputs: Sequence[torch.Tensor], num_full: int, halvings: int = 30) -> float:
    """The threshold that spends the full steps over the whole of a trajectory: the least that leaves none for its end.

    Args:
        inputs: what the U-Net was called with at each step of an uncached trajectory, T tensors.
        num_full: number of full steps, k.
        halvings: of the interval in which it is sought.

    Returns:
        A threshold under which at most k steps change by more than it.

    Raises:
        DeepCacheError: unless 1 <= num_full <= T.
    """
    check_budget(len(inputs), num_full)

    def crossings(threshold: float) -> int:
        count, last = 1, inputs[0]
        for sample in inputs[1:]:
            if relative_change(sample, last) > threshold:
                count, last = count + 1, sample
        return count

    return least_threshold(crossings, num_full, max(relative_change(one, inputs[0]) for one in inputs) + 1.0, halvings)


def least_threshold(spent: Callable[[float], int], num_full: int, high: float = 1.0, halvings: int = 30) -> float:
    """The least threshold, but for rounding, under which no more steps are full than are allowed.

    Args:
        spent: how many are at a threshold; fewer the higher it is.
        num_full: number of full steps, k.
        high: where it is sought first.
        halvings: of the interval in which it is.
    """
    low = 0.0
    if spent(low) <= num_full:
        return low
    for _ in range(DOUBLINGS):
        if spent(high) <= num_full:
            break
        low, high = high, 2 * high
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > num_full else (low, middle)
    return high
