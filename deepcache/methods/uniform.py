"""Uniform schedule: every N-th step is full (paper, Section 3.3)."""

from dataclasses import dataclass

from deepcache.caching import schedules
from deepcache.methods.schedule import NamedSchedule


@dataclass(frozen=True)
class Uniform(NamedSchedule):
    """Steps 0, N, 2N, ... are full."""

    name = "uniform"

    @property
    def label(self) -> str:  # noqa: D102
        return f"N = {self.interval}"

    def full_steps(self, num_steps: int) -> tuple[int, ...]:  # noqa: D102
        return schedules.uniform(num_steps, self.interval)
