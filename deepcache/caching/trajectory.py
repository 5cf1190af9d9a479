"""Where a trajectory stands."""

from dataclasses import dataclass, field

import torch


@dataclass
class Trajectory:
    """The steps of one trajectory, counted by calls of the U-Net.

    Attributes:
        shape: of the U-Net's input, which stays the same from step to step; None before the first call.
        expected: how many calls there will be; None where nobody can know.
        step: that of the next call, from 0.
        full_steps: those that ran fully so far.
    """

    shape: torch.Size | None = None
    expected: int | None = None
    step: int = 0
    full_steps: list[int] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether all expected calls have been made."""
        return self.expected is not None and self.step >= self.expected
