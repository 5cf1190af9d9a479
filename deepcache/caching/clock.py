"""What a call of the U-Net begins: told by who drives it, or seen from its timestep."""

import enum
import logging

from deepcache.caching.timesteps import Mark
from deepcache.errors import DeepCacheError

logger = logging.getLogger(__name__)

MOST_STREAMS = 64  # calls that are taken for one step where nobody says what a step is; each keeps a feature
UNTOLD = (
    "what a step is cannot be seen from the timesteps that the U-Net is called with; such calls run fully: call the "
    "cache's start_trajectory before each trajectory and its next_step before each step"
)


class Call(enum.Enum):
    """What a call of the U-Net is."""

    TRAJECTORY = "the first one of a trajectory"
    STEP = "the first one of a later step"
    STREAM = "a further one of the same step"
    UNKNOWN = "one of which that cannot be told"
    FOREIGN = "none of the pipeline's trajectory"


class Clock:
    """For a U-Net by itself: from `start` and `next_step`, or from timesteps alone.

    A timestep that comes again is a further stream of its step. The next place in the same array, or a lower number, is
    the next step, as long as it goes on in the direction in which the array was entered. Another array, a higher number
    or a turn begins a trajectory. What cannot be told without waiting for the device runs fully.

    Attributes:
        told: whether `next_step` says what a step is.
        settled: whether the streams of the step that has ended are those of the next one: a timestep that came again
            may also have begun another trajectory, until two steps have had as many calls.
    """

    def __init__(self):
        self._warned: set[str] = set()
        self.start()

    def start(self, told: bool = False) -> None:
        """The next call begins a trajectory; `told` by who drives the U-Net."""
        self.told = False
        self.settled = self._start_is_told = told
        self._first: Mark | None = None  # of the trajectory
        self._last: Mark | None = None
        self._calls = 0  # of the trajectory
        self._calls_of_step = self._calls_before = 0  # of this step, of the one before
        self._stepped = False
        self._direction = 0  # in which the array is gone through: 1 or -1 once that is known
        self._lost = False  # more calls have come than a step may have

    def next_step(self) -> None:
        """The next call begins a step: the first one where it begins a trajectory.

        Raises:
            DeepCacheError: if the trajectory's calls so far were told apart by their timesteps.
        """
        if self._calls and not self.told:
            raise DeepCacheError(
                "next_step comes before the calls of every step, the first one too: start_trajectory, next_step, calls"
            )
        self.told = self._stepped = True

    def read(self, mark: Mark) -> Call:
        """What a call with this timestep is; nothing changes."""
        if not self._calls:
            return Call.TRAJECTORY
        if self.told:
            return self._told_call(mark)
        call = self._seen(mark)
        return Call.UNKNOWN if self._lost and call is not Call.TRAJECTORY else self._bounded(call)

    def _bounded(self, call: Call) -> Call:
        return Call.UNKNOWN if call is Call.STREAM and self._calls_of_step >= MOST_STREAMS else call

    def _told_call(self, mark: Mark) -> Call:
        if not self._stepped:  # who says what a step is has gone where a trajectory has evidently begun
            return Call.TRAJECTORY if self._seen(mark) is Call.TRAJECTORY else Call.STREAM
        again = _is_same(mark, self._first) and not _is_same(self._last, self._first)
        return Call.TRAJECTORY if again else Call.STEP

    def _seen(self, mark: Mark) -> Call:
        last = self._last
        if mark.is_part and last.is_part:
            if not mark.in_one_array(last):
                return Call.TRAJECTORY
            if self._direction or mark.way(last) >= 0:
                return self._by_way(mark)
        change = mark.change(last)
        if change is None:
            return Call.UNKNOWN
        return Call.TRAJECTORY if change > 0 else Call.STEP if change < 0 else Call.STREAM

    def _by_way(self, mark: Mark) -> Call:
        """In one array: the same place, onward, or a turn; where nothing is known yet, onward is forward."""
        way = mark.way(self._last) * (self._direction or 1)
        return Call.STREAM if way == 0 else Call.STEP if way > 0 else Call.TRAJECTORY

    def take(self, mark: Mark, call: Call) -> None:
        """The call that was read is made."""
        if call is Call.UNKNOWN:
            self.warn(UNTOLD)
            self._lost = self._lost or self._calls_of_step >= MOST_STREAMS
        self._direction = self._direction_after(mark, call)
        if call is Call.TRAJECTORY:
            self._begin(mark)
        elif call is Call.STEP:
            self.settled = self.told or self._start_is_told or self._calls_of_step in (1, self._calls_before)
            self._calls_before = self._calls_of_step
        self._last = mark
        self._calls += 1
        self._calls_of_step = self._calls_of_step + 1 if call is Call.STREAM else 1
        self._stepped = False

    def _begin(self, mark: Mark) -> None:
        if self._calls:  # seen, not told
            if self._calls == self._calls_of_step:
                self.warn(UNTOLD)
            self.told = self.told and self._stepped
            self._start_is_told = False
        self._first, self._calls, self._calls_before, self._lost = mark, 0, 0, False

    def _direction_after(self, mark: Mark, call: Call) -> int:
        if self._last is None or not (mark.is_part and self._last.is_part and mark.in_one_array(self._last)):
            return 0
        way = mark.way(self._last)
        turned = call is Call.TRAJECTORY and not _is_same(mark, self._first)  # else the array begins anew
        return (1 if way > 0 else -1) if way and (turned or not self._direction) else self._direction

    def warn(self, message: str) -> None:
        """Say it, once."""
        if message not in self._warned:
            self._warned.add(message)
            logger.warning(message)


def _is_same(one: Mark, other: Mark) -> bool:
    """Whether they are known to be the same timestep."""
    if one.is_part and other.is_part:
        return one.in_one_array(other) and one.way(other) == 0
    return one.change(other) == 0
