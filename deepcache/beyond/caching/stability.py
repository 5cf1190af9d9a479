"""When, as AdaptiveDiffusion has it: the output is used again while the latent moves steadily."""

import itertools
from collections.abc import Sequence

import torch

from deepcache.beyond.caching.online import check_numbers, least_threshold
from deepcache.caching.online import OnlineSchedule
from deepcache.errors import DeepCacheError

WATCHED = 4  # latents that a third-order difference takes
IN_A_ROW = 4  # shallow steps, at most: the authors' default


class Stability(OnlineSchedule):
    """Full steps by the third-order difference of the U-Net's input (Ye et al. 2024, arXiv 2410.09873).

    With d_i the mean absolute change of the latent in step i, a step is shallow while |(d_i + d_{i-2}) / 2 - d_{i-1}|
    is at most threshold * d_{i-1}, as in the authors' code, but not more than so many times in a row. All images of a
    batch share the decision, which waits for the device once a step. As in `InputChange` exactly as many steps are
    full as are allowed: what the threshold does not spend, the last steps do; where all are spent, the rest is shallow.

    Args:
        num_steps: calls of the U-Net in a trajectory, T.
        num_full: number of full steps, k.
        threshold: delta.
        in_a_row: shallow steps, at most.

    Raises:
        DeepCacheError: unless 1 <= num_full <= num_steps and the threshold is at least 0.
    """

    def __init__(self, num_steps: int, num_full: int, threshold: float, in_a_row: int = IN_A_ROW):
        check_numbers(num_steps, num_full, threshold)
        self.num_steps, self.num_full, self.threshold, self.in_a_row = num_steps, num_full, threshold, in_a_row
        self.reset()

    def reset(self) -> None:  # noqa: D102
        self._last: torch.Tensor | None = None
        self._changes: list[float] = []
        self._spent = self._shallow = 0

    def is_full(self, step: int, sample: torch.Tensor) -> bool:  # noqa: D102
        if self._last is not None:
            self._changes.append(mean_change(sample, self._last))
        self._last = sample.detach().clone()  # samplers may write into it
        left = self.num_full - self._spent
        full = left > 0 and (self.num_steps - step <= left or self.wants(self._changes, self._shallow))
        self._spent, self._shallow = self._spent + full, 0 if full else self._shallow + 1
        return full

    def wants(self, changes: Sequence[float], shallow: int) -> bool:
        """Whether a full step is due after these changes and so many shallow steps."""
        return len(changes) < WATCHED - 1 or unsteadiness(changes) > self.threshold or shallow >= self.in_a_row


def mean_change(sample: torch.Tensor, last: torch.Tensor) -> float:
    """Mean absolute difference, in float32."""
    return float((sample.float() - last.float()).abs().mean())


def unsteadiness(changes: Sequence[float]) -> float:
    """|(d_i + d_{i-2}) / 2 - d_{i-1}| / d_{i-1} of the last three changes."""
    before, middle, last = changes[-3:]
    return abs((last + before) / 2 - middle) / max(middle, torch.finfo(torch.float32).tiny)


def find_stability(inputs: Sequence[torch.Tensor], num_full: int, in_a_row: int = IN_A_ROW) -> Stability:
    """The rule whose threshold spends k full steps over the whole of a trajectory.

    Args:
        inputs: what the U-Net was called with at each step of an uncached trajectory, T tensors.
        num_full: number of full steps, k.
        in_a_row: shallow steps, at most; more where k full steps need that.

    Raises:
        DeepCacheError: if there are fewer full steps than the rule needs to begin.
    """
    steps, first = len(inputs), WATCHED - 1
    if num_full < first:
        raise DeepCacheError(f"the first {first} steps are full, so num_full must be at least {first}, not {num_full}")
    while first + (steps - first) // (in_a_row + 1) > num_full:  # steady throughout, so many are full
        in_a_row += 1
    changes = [mean_change(sample, last) for last, sample in itertools.pairwise(inputs)]

    def spent(threshold: float) -> int:
        rule, count, shallow = Stability(steps, num_full, threshold, in_a_row), 0, 0
        for step in range(steps):
            full = rule.wants(changes[:step], shallow)
            count, shallow = count + full, 0 if full else shallow + 1
        return count

    return Stability(steps, num_full, least_threshold(spent, num_full), in_a_row)
