"""A method as part of a run's path, such as `full` or `uniform-n5-b2`."""

import math
import re
from dataclasses import dataclass

from deepcache.caching import schedules
from deepcache.errors import DeepCacheError


@dataclass(frozen=True)
class Method:
    """When, where and what: slugs such as `full`, `uniform-n5-b2`, `nonuniform-n10-c15-p1.4-b1-forecast1`.

    Attributes:
        schedule: `full` (no caching), `uniform`, `nonuniform` (Eq. 7), or `chosen`: full steps and weights of the kept
            features stand in a plan (see deepcache.beyond.caching.plan).
        interval: N; the schedule has ceil(T / N) full steps.
        branch: where the U-Net is cut, 0-based.
        center: c of Eq. 7.
        power: p of Eq. 7.
        reuse: `hold`, `zeros` or `forecast1`, `forecast2`, ...
    """

    schedule: str = "full"
    interval: int = 1
    branch: int = 0
    center: int | None = None
    power: float | None = None
    reuse: str = "hold"

    PATTERN = (
        r"full|(?:uniform-n[1-9][0-9]*|nonuniform-n[1-9][0-9]*-c[0-9]+-p[0-9.]+)-b[0-9]+(?:-zeros|-forecast[1-9])?"
        r"|chosen-n[1-9][0-9]*-b[0-9]+"
    )

    @property
    def slug(self) -> str:
        """The method as a folder name."""
        if self.schedule == "full":
            return "full"
        shape = f"-c{self.center}-p{self.power:g}" if self.schedule == "nonuniform" else ""
        reuse = "" if self.reuse == "hold" else f"-{self.reuse}"
        return f"{self.schedule}-n{self.interval}{shape}-b{self.branch}{reuse}"

    @classmethod
    def parse(cls, slug: str) -> "Method":
        """The inverse of `slug`; DeepCacheError where it is none."""
        if not re.fullmatch(cls.PATTERN, slug):
            raise DeepCacheError(
                f"method must look like full, uniform-n5-b2 or nonuniform-n10-c15-p1.4-b1-forecast1, not {slug!r}"
            )
        if slug == "full":
            return cls()
        schedule, *parts = slug.split("-")
        values = {}
        for part in parts:
            if part == "zeros" or part.startswith("forecast"):
                values["reuse"] = part
            else:
                name = {"n": "interval", "b": "branch", "c": "center", "p": "power"}[part[0]]
                values[name] = float(part[1:]) if name == "power" else int(part[1:])
        return cls(schedule, **values)

    def num_full(self, num_steps: int) -> int:
        """How many of `num_steps` (see Sampler.schedule_length) run fully: ceil(T / N).

        Raises:
            DeepCacheError: if the method does not fit so many.
        """
        if self.schedule == "chosen":
            return len(schedules.uniform(num_steps, self.interval))
        return len(self.full_steps(num_steps))

    def full_steps(self, num_steps: int) -> tuple[int, ...]:
        """Steps that run fully of `num_steps` (see Sampler.schedule_length).

        Raises:
            DeepCacheError: if the method does not fit so many, or only a plan knows.
        """
        if self.schedule == "chosen":
            raise DeepCacheError(f"the full steps of {self.slug} stand in a plan: give it with --plan")
        if self.schedule == "full":
            return tuple(range(num_steps))
        if self.schedule == "uniform":
            return schedules.uniform(num_steps, self.interval)
        if not 1 <= self.interval <= num_steps:
            raise DeepCacheError(f"interval must be between 1 and the {num_steps} steps, not {self.interval}")
        return schedules.nonuniform(num_steps, math.ceil(num_steps / self.interval), self.center, self.power)
