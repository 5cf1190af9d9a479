"""A method: when, where and what, as part of a run's path, such as `full` or `uniform-n5-b2-zeros`."""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepcache.decimals import INTEGER
from deepcache.errors import DeepCacheError, KeyedError
from deepcache.methods.discovery import reuses, schedules, source_file
from deepcache.methods.hold import HeldFeature
from deepcache.methods.reuse import NamedReuse
from deepcache.methods.schedule import NamedSchedule, Place, Resolved

if TYPE_CHECKING:
    from deepcache.caching.engine import DeepCache
    from deepcache.caching.execution import Execution

UNCACHED = "full"
HELD = HeldFeature()  # the paper's


@dataclass(frozen=True)
class Method:
    """A way to run the U-Net over a trajectory.

    Attributes:
        schedule: when it runs fully; None: at every step, which is `full`.
        branch: where it is cut, 0-based.
        reuse: what takes the place of the skipped feature.
    """

    schedule: NamedSchedule | None = None
    branch: int = 0
    reuse: NamedReuse = HELD

    @property
    def caches(self) -> bool:
        """Whether any step may be shallow."""
        return self.schedule is not None

    @property
    def takes_plan(self) -> bool:
        """Whether it runs only with a plan."""
        return self.caches and self.schedule.takes_plan

    @property
    def interval(self) -> int:
        """N; 1 where nothing is cached."""
        return self.schedule.interval if self.caches else 1

    @property
    def slug(self) -> str:
        """The method as a folder name."""
        if not self.caches:
            return UNCACHED
        reuse = "" if self.reuse == HELD else f"-{self.reuse.slug}"
        return f"{self.schedule.slug}-b{self.branch}{reuse}"

    @property
    def label(self) -> str:
        """The method in a picture; the branch, which all methods of a picture share, is left out."""
        if not self.caches:
            return "no caching"
        return ", ".join([self.schedule.label, *([] if self.reuse == HELD else [self.reuse.label])])

    @classmethod
    def pattern(cls) -> str:
        """What slugs look like, as a regular expression without groups."""
        reused = "|".join(f"-{one.pattern()}" for one in reuses().values() if one is not HeldFeature)
        cached = [
            f"{one.pattern()}-b{INTEGER}{'' if one.takes_plan else f'(?:{reused})?'}" for one in schedules().values()
        ]
        return "|".join([UNCACHED, *cached])

    @classmethod
    def parse(cls, slug: str) -> "Method":
        """The inverse of `slug`; DeepCacheError where it is none."""
        if slug == UNCACHED:
            return cls()
        found = re.fullmatch(f"(?P<schedule>.+)-b(?P<branch>{INTEGER})(?:-(?P<reuse>.+))?", slug)
        schedule = found and _parsed(found["schedule"], schedules())
        given = found and found["reuse"]
        reuse = _parsed(given, reuses()) if given else HELD
        if not schedule or not reuse or (given and (reuse == HELD or schedule.takes_plan)):
            raise DeepCacheError(
                f"method must look like full, uniform-n5-b2 or nonuniform-n10-c15-p1.4-b1-forecast1, not {slug!r}"
            )
        method = cls(schedule, int(found["branch"]), reuse)
        if method.slug != slug:  # or one method would have two folders
            raise DeepCacheError(f"method {slug}: write {method.slug}")
        return method

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Method":
        """The method that values name, as in a config: `schedule` and its parameters, `branch`, `reuse`.

        An interval of 1 is `full`, whatever the others.

        Raises:
            KeyedError: if a value is missing, unknown or not for this schedule.
        """
        if values.get("interval", 1) == 1:
            return cls()
        schedule = _kind("schedule", values.get("schedule") or "uniform", schedules())
        foreign = {name for kind in schedules().values() for name in kind.schema()} - set(schedule.schema())
        for name in sorted(foreign):
            if values.get(name) is not None:
                raise KeyedError(name, f"{schedule.name} takes none: leave it out")
        reuse = values.get("reuse")
        if reuse is not None and schedule.takes_plan:
            raise KeyedError("reuse", f"what {schedule.name} reuses stands in its plan: leave it out")
        named = HELD if reuse is None else parse_reuse(reuse)
        branch = values.get("branch") or 0
        if isinstance(branch, bool) or not isinstance(branch, int) or not re.fullmatch(INTEGER, str(branch)):
            raise KeyedError("branch", f"must be an integer of at least 0, not {branch!r}")
        return cls(schedule.from_mapping(values), branch, named)

    def source_files(self) -> list[Path]:
        """The files that define its schedule and its reuse."""
        return [source_file(type(part)) for part in (self.schedule, self.reuse) if self.caches]

    def num_full(self, num_steps: int) -> int:
        """How many of `num_steps` run fully; DeepCacheError if the method does not fit so many."""
        return self.schedule.num_full(num_steps) if self.caches else num_steps

    def resolve(self, place: Place) -> "Caching":
        """The method in its place; DeepCacheError if it does not fit there."""
        if self.caches:
            return Caching(self, self.schedule.resolve(place))
        if place.plan is not None:
            raise DeepCacheError(f"{UNCACHED} takes no plan: every step is full")
        return Caching(self, Resolved(tuple(range(place.num_steps))))


@dataclass(frozen=True)
class Caching:
    """A method in its place, ready to be applied.

    Attributes:
        method: which.
        resolved: its schedule there.
    """

    method: Method
    resolved: Resolved

    @property
    def full_steps(self) -> tuple[int, ...] | None:
        """The steps that run fully; None where that is decided while it samples."""
        return self.resolved.schedule if isinstance(self.resolved.schedule, tuple) else None

    def applied(self, pipe_or_unet, execution: "Execution | None" = None) -> "AbstractContextManager[DeepCache | None]":
        """A context in which the U-Net runs as the method says; None where it runs as without caching, and eagerly.

        Args:
            pipe_or_unet: see `DeepCache`.
            execution: how passes run, those of uncached steps too; default: eagerly.
        """
        if execution is None and not self.method.caches:
            return nullcontext()
        from deepcache.caching.engine import DeepCache
        from deepcache.caching.execution import Execution
        from deepcache.caching.find_unet import find_unet

        execution = execution or Execution()
        how = {"compile": execution.compile, "graph": execution.graph}
        if not self.method.caches:
            _, unet = find_unet(pipe_or_unet)
            return nullcontext() if execution.on(unet).eager else DeepCache(pipe_or_unet, interval=1, **how)
        make_reuse = self.resolved.make_reuse or self.method.reuse.make
        schedule, branch = self.resolved.schedule, self.method.branch
        return DeepCache(pipe_or_unet, schedule=schedule, branch=branch, reuse=make_reuse(), **how)


def parse_reuse(slug: str) -> NamedReuse:
    """A reuse by its slug, such as `hold` or `forecast1`; KeyedError where there is none."""
    found = _parsed(slug, reuses()) if isinstance(slug, str) else None
    if found is None:
        raise KeyedError("reuse", f"must look like {', '.join(examples())}, not {slug!r}")
    return found


def _parsed(slug: str, kinds: Mapping[str, type]) -> Any:
    return next((found for kind in kinds.values() if (found := kind.parse(slug))), None)


def examples() -> list[str]:
    """A slug of each reuse, with the least values of its parameters."""
    return [
        kind.name + "".join(str(one.metadata["bounds"].get("minimum", 0)) for one in fields(kind))
        for kind in reuses().values()
    ]


def _kind(name: str, value: str, kinds: Mapping[str, type]) -> Any:
    if value not in kinds:
        raise KeyedError(name, f"must be one of {', '.join(kinds)}, not {value!r}")
    return kinds[value]
