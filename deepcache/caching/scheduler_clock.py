"""What a call of a pipeline's U-Net begins: its scheduler says so."""

from deepcache.caching.clock import Call, Clock
from deepcache.caching.scheduler_watch import SchedulerWatch
from deepcache.caching.timesteps import Mark

OUTSIDE = (
    "the U-Net is called outside of its pipeline's trajectory, as another pipeline with a scheduler of its own does: "
    "these calls run fully"
)


class SchedulerClock(Clock):
    """`set_timesteps` begins a trajectory, and `step` ends a step.

    The place of the timestep in the scheduler's array says the same, and more: several `step`s of one timestep (a
    panorama's) are streams of one step, and a call with a timestep from elsewhere is not the pipeline's. Where the
    pipeline makes timesteps of its own, `step` counts, and their numbers.
    """

    def __init__(self, watch: SchedulerWatch):
        super().__init__()
        self._watch = watch
        self._by_place = False

    def start(self, told: bool = False) -> None:  # noqa: D102
        super().start(told=True)
        self._warned.discard(OUTSIDE)
        self._rises = False  # whether the numbers do from step to step

    def end_step(self) -> None:
        """The scheduler has made a step."""
        self._stepped = self._stepped or not self.told

    def read(self, mark: Mark) -> Call:  # noqa: D102
        watch = self._watch
        if self.told:
            return super().read(mark)
        if not self._calls:
            return Call.TRAJECTORY if watch.owns(mark.timestep) or watch.timesteps_set else Call.FOREIGN
        if self._by_place:
            return self._by_way(mark) if mark.in_one_array(self._last) else Call.FOREIGN
        return Call.FOREIGN if mark.is_part else self._by_step(mark)

    def _by_step(self, mark: Mark) -> Call:
        """Where the pipeline's timesteps are no parts of an array."""
        change = mark.change(self._last)
        if change:
            first_change = self._calls == self._calls_of_step
            onward = change < 0 or self._stepped if first_change else (change > 0) == self._rises
            return Call.STEP if onward else Call.TRAJECTORY
        if self._watch.is_over and change is None:
            return Call.FOREIGN
        return Call.STEP if self._stepped else self._bounded(Call.STREAM)

    def take(self, mark: Mark, call: Call) -> None:  # noqa: D102
        if call is Call.FOREIGN:
            self.warn(OUTSIDE)
            return
        if call is Call.STEP and not self._by_place and self._calls == self._calls_of_step:
            self._rises = mark.change(self._last) == 1
        super().take(mark, call)
        self.settled = True
        if call is Call.TRAJECTORY:
            self._watch.count_anew()
            self._by_place = self._watch.owns(mark.timestep) or mark.is_part
