"""Where a trajectory stands."""

import threading
from dataclasses import dataclass, field

import torch

from deepcache.errors import DeepCacheError


@dataclass
class Trajectory:
    """The steps of one trajectory, counted by calls of the U-Net.

    Attributes:
        shape: of the U-Net's input, which stays the same from step to step; None before the first call.
        expected: how many calls there will be; None where nobody can know.
        step: that of the next call, from 0.
        full_steps: those that ran fully so far.
        thread: in which its first call was made.
    """

    shape: torch.Size | None = None
    expected: int | None = None
    step: int = 0
    full_steps: list[int] = field(default_factory=list)
    thread: int = field(default_factory=threading.get_ident)

    def check_thread(self) -> None:
        """DeepCacheError if this call is another thread's than those before: they cannot share what is cached."""
        thread = threading.get_ident()
        if self.step > 0 and not self.is_over and self.thread != thread:
            raise DeepCacheError(
                "this U-Net is in the middle of another thread's trajectory: give each thread a U-Net of its own"
            )
        self.thread = thread

    @property
    def is_over(self) -> bool:
        """Whether all expected calls have been made."""
        return self.expected is not None and self.step >= self.expected
