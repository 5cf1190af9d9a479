"""When: a schedule that configs, paths and command lines can name."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from deepcache.errors import DeepCacheError
from deepcache.methods.parts import Part, parameter

if TYPE_CHECKING:
    from deepcache.caching.online import OnlineSchedule
    from deepcache.caching.reuse import Reuse


@dataclass(frozen=True)
class Place:
    """Where a method is to run.

    Attributes:
        num_steps: T, over which the schedule is laid out.
        branch: where the U-Net is cut, 0-based.
        sampler: slug of what calls the U-Net.
        manifest: of the checkpoint.
        plan: the file of a plan, if there is one.
    """

    num_steps: int
    branch: int = 0
    sampler: str = ""
    manifest: Mapping[str, Any] | None = None
    plan: Path | None = None


@dataclass(frozen=True)
class Resolved:
    """What a schedule has become in its place.

    Attributes:
        schedule: the full steps, or what decides while it samples.
        make_reuse: makes what takes the place of the skipped feature; None where the schedule leaves that open.
    """

    schedule: "tuple[int, ...] | OnlineSchedule"
    make_reuse: "Callable[[], Reuse] | None" = None


@dataclass(frozen=True)
class NamedSchedule(Part):
    """A schedule by its name; subclasses add parameters and say which steps are full.

    Attributes:
        interval: N; the schedule has ceil(T / N) full steps.
        takes_plan: whether the full steps, and what is reused, stand in a plan.
    """

    interval: int = parameter("n", "N: one in N steps runs fully, on average", minimum=1)

    takes_plan: ClassVar[bool] = False

    @abstractmethod
    def full_steps(self, num_steps: int) -> "tuple[int, ...] | OnlineSchedule":
        """The full steps of `num_steps`, or what decides on them.

        Raises:
            DeepCacheError: if the schedule does not fit so many.
        """

    def num_full(self, num_steps: int) -> int:
        """How many of `num_steps` are full; DeepCacheError as `full_steps`."""
        return len(self.full_steps(num_steps))

    def resolve(self, place: Place) -> Resolved:
        """What it becomes in a place.

        Raises:
            DeepCacheError: if it does not fit the place, or is given a plan that it does not take.
        """
        if place.plan is not None:
            raise DeepCacheError(f"{self.slug} takes no plan: its full steps are known")
        return Resolved(self.full_steps(place.num_steps))
