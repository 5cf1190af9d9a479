"""What a call of the U-Net begins: told by who drives it, or seen from its timestep."""

import enum
import logging

from deepcache.caching.scheduler_watch import SchedulerWatch
from deepcache.caching.timesteps import Timestep, in_one_array, is_part, moved, value
from deepcache.errors import DeepCacheError

logger = logging.getLogger(__name__)

MOST_STREAMS = 64  # calls that are taken for one step where nobody says what a step is; each keeps a feature


class Call(enum.Enum):
    """What a call of the U-Net is."""

    TRAJECTORY = "the first one of a trajectory"
    STEP = "the first one of a later step"
    STREAM = "a further one of the same step"
    FOREIGN = "none of the pipeline's trajectory"


class Clock:
    """For a U-Net by itself: from `start` and `next_step`, or from timesteps alone.

    A timestep that comes again is a further stream of its step. A later place in the same array, or a lower number,
    is the next step. All else begins a trajectory, which runs fully at first: a higher number, another array, and what
    cannot be told without waiting for the device.
    """

    def __init__(self):
        self._told = False  # of steps, by next_step
        self._warned = False
        self.start()

    def start(self) -> None:
        """The next call begins a trajectory."""
        self._last: Timestep = None
        self._calls = 0  # of the trajectory
        self._calls_of_step = 0
        self._stepped = False

    def next_step(self) -> None:
        """The next call begins a step: the first one where it begins a trajectory.

        Raises:
            DeepCacheError: if the trajectory's calls so far were told apart by their timesteps.
        """
        if self._calls and not self._told:
            raise DeepCacheError(
                "next_step comes before the calls of every step, the first one too: start_trajectory, next_step, calls"
            )
        self._told = self._stepped = True

    def read(self, timestep: Timestep) -> Call:
        """What a call with this timestep is; nothing changes."""
        if not self._calls:
            return Call.TRAJECTORY
        if self._told:
            return Call.STEP if self._stepped else Call.STREAM
        return self._seen(timestep)

    def _seen(self, timestep: Timestep) -> Call:
        last, way = self._last, None
        if is_part(last) and is_part(timestep):
            if not in_one_array(last, timestep):
                return Call.TRAJECTORY
            way = moved(last, timestep)
            if way >= 0:
                return Call.STEP if way else self._stream()
        numbers = value(last), value(timestep)
        if None in numbers:
            return Call.TRAJECTORY
        return Call.STEP if way and numbers[1] == numbers[0] else self._by_number(*numbers)

    def _by_number(self, before: float, now: float) -> Call:
        if now == before:
            return self._stream()
        return Call.STEP if now < before else Call.TRAJECTORY

    def _stream(self) -> Call:
        return Call.STREAM if self._calls_of_step < MOST_STREAMS else Call.TRAJECTORY

    def take(self, timestep: Timestep, call: Call) -> None:
        """The call that was read is made."""
        if call is Call.TRAJECTORY:
            if self._calls and self._calls == self._calls_of_step and not self._warned:
                self._warned = True
                logger.warning(
                    "each call of the U-Net looks like a trajectory of its own, so all of them run fully: call the "
                    "cache's start_trajectory before each trajectory and its next_step before each step"
                )
            self._calls = 0
        self._last = timestep  # held, so that nothing else takes its place
        self._calls += 1
        self._calls_of_step = self._calls_of_step + 1 if call is Call.STREAM else 1
        self._stepped = False


class SchedulerClock(Clock):
    """For a pipeline's U-Net: its scheduler's `set_timesteps` begins a trajectory, and its `step` ends a step.

    The place of the timestep in the scheduler's array says the same, and more: several `step`s of one timestep (a
    panorama's) are streams of one step, and a call with a timestep from elsewhere is not the pipeline's. Where the
    pipeline makes timesteps of its own, `step` counts, and without it their numbers.
    """

    def __init__(self, watch: SchedulerWatch):
        super().__init__()
        self._watch = watch
        self._by_place = False

    def start(self) -> None:  # noqa: D102
        super().start()
        self._foreign = False  # whether there was such a call since

    def end_step(self) -> None:
        """The scheduler has made a step."""
        self._stepped = self._stepped or not self._told

    def read(self, timestep: Timestep) -> Call:  # noqa: D102
        watch = self._watch
        if self._told:
            return super().read(timestep)
        if not self._calls:
            return Call.TRAJECTORY if watch.owns(timestep) or watch.timesteps_set else Call.FOREIGN
        if not self._by_place:
            if is_part(timestep) or watch.is_over:
                return Call.FOREIGN
            numbers = value(self._last), value(timestep)
            if self._stepped or None in numbers:
                return Call.STEP if self._stepped else self._stream()
            return self._by_number(*numbers)
        if not in_one_array(self._last, timestep):
            return Call.FOREIGN
        way = moved(self._last, timestep)
        return Call.STREAM if way == 0 else Call.STEP if way > 0 else Call.TRAJECTORY

    def take(self, timestep: Timestep, call: Call) -> None:  # noqa: D102
        if call is not Call.FOREIGN:
            super().take(timestep, call)
        elif not self._foreign:
            self._foreign = True
            logger.warning(
                "the U-Net is called outside of its pipeline's trajectory, as another pipeline with a scheduler of its "
                "own does: these calls run fully"
            )
        if call is Call.TRAJECTORY:
            self._by_place = self._watch.owns(timestep) or is_part(timestep)
