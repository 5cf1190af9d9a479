"""Non-uniform schedule: full steps crowd around a centre (paper, Section 3.3, Eq. 7)."""

import math
from dataclasses import dataclass

from deepcache.caching import schedules
from deepcache.errors import DeepCacheError
from deepcache.methods.parts import parameter
from deepcache.methods.schedule import NamedSchedule


@dataclass(frozen=True)
class Nonuniform(NamedSchedule):
    """Eq. 7 with as many full steps as the uniform schedule of the same N.

    Attributes:
        center: c, the step around which full steps are densest.
        power: p; the larger, the denser.
    """

    name = "nonuniform"

    center: int = parameter("c", "centre of Eq. 7: the step around which full steps are densest", minimum=0)
    power: float = parameter("p", "power of Eq. 7: the larger, the denser at the centre", exclusiveMinimum=1)

    @property
    def label(self) -> str:  # noqa: D102
        return f"N = {self.interval}, c = {self.center}, p = {self.power:g}"

    def full_steps(self, num_steps: int) -> tuple[int, ...]:  # noqa: D102
        if not 1 <= self.interval <= num_steps:
            raise DeepCacheError(f"interval must be between 1 and the {num_steps} steps, not {self.interval}")
        return schedules.nonuniform(num_steps, math.ceil(num_steps / self.interval), self.center, self.power)
