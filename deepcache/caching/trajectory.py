"""Where a trajectory stands."""

from collections.abc import Callable


class Trajectory:
    """The steps of one trajectory.

    Attributes:
        step: the one that runs, from 0.
        full_steps: those of which every call ran fully so far.
    """

    def __init__(self):
        self.step = 0
        self.full_steps: list[int] = []
        self._calls = 0  # that have returned, of this step
        self._planned: bool | None = None  # whether this step runs fully; None until it is asked

    @property
    def steps(self) -> int:
        """How many have had a call."""
        return self.step + (self._calls > 0)

    def next_step(self) -> None:
        """The next step begins."""
        self.step += 1
        self._calls, self._planned = 0, None

    def planned(self, is_full: Callable[[int], bool]) -> bool:
        """Whether this step runs fully: asked once, at its first call."""
        if self._planned is None:
            self._planned = is_full(self.step)
        return self._planned

    def count(self, full: bool) -> None:
        """A call of this step has returned."""
        listed = self.full_steps[-1:] == [self.step]
        if full and self._calls == 0:
            self.full_steps.append(self.step)
        elif listed and not full:
            self.full_steps.pop()
        self._calls += 1
