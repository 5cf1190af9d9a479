"""The timesteps that a U-Net is called with, told apart without waiting for the device.

A sampler goes through an array of timesteps and calls the U-Net with parts of it: views. Where such a view lies in
memory is known at once, wherever the array is, and tells apart timesteps of equal value (PLMS repeats one). Numbers are
read only on the host.
"""

from __future__ import annotations

import numbers

import torch

Timestep = torch.Tensor | float | int | None


class Mark:
    """A timestep as it was when the U-Net was called with it.

    Args:
        timestep: held, so that nothing else takes its place in memory.

    Attributes:
        timestep: the same.
        is_part: whether it is a view of one timestep in an array of several.
    """

    def __init__(self, timestep: Timestep):
        self.timestep = timestep
        self.is_part = _is_part(timestep)
        tensor = isinstance(timestep, torch.Tensor)
        self._version = timestep._version if tensor and not timestep.is_inference() else 0
        # Of a part, the number is read when it is asked for: the place says more.
        self._numbers = None if self.is_part else _numbers(timestep)

    def in_one_array(self, earlier: Mark) -> bool:
        """Whether both are views of the same memory, in which nothing was written in between."""
        return in_one_array(self.timestep, earlier.timestep) and self._version == earlier._version

    def way(self, earlier: Mark) -> int:
        """How far it lies behind an earlier one in their array, in elements."""
        return moved(earlier.timestep, self.timestep)

    def change(self, earlier: Mark) -> int | None:
        """Whether its number is below (-1), equal to (0) or above (1) an earlier one's; None if that is not known."""
        before, now = earlier.numbers, self.numbers
        if before is None or now is None or len(before) != len(now):
            return None
        changes = {(one > other) - (one < other) for one, other in zip(now, before, strict=True)}
        return None if changes >= {-1, 1} else (min(changes) if min(changes) < 0 else max(changes))

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """Its numbers, of each image or of all; None where they lie on a device, for which one would have to wait."""
        return _numbers(self.timestep) if self.is_part else self._numbers


def in_one_array(one: Timestep, other: Timestep) -> bool:
    """Whether both lie in the same memory."""
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return False
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr() != 0


def moved(before: torch.Tensor, now: torch.Tensor) -> int:
    """How far `now` lies behind `before` in their array, in elements."""
    return now.storage_offset() - before.storage_offset()


def _is_part(timestep: Timestep) -> bool:
    if not isinstance(timestep, torch.Tensor) or timestep.numel() == 0:
        return False
    if timestep._base is not None and timestep._base.ndim > 1:
        return False  # of a table: the next row lies behind the last one's end
    different = 1 if not any(timestep.stride()) else timestep.numel()  # all strides are 0 where it was expanded
    return timestep.untyped_storage().nbytes() > different * timestep.element_size()


def _numbers(timestep: Timestep) -> tuple[float, ...] | None:
    if isinstance(timestep, torch.Tensor):
        on_host = timestep.device.type == "cpu" and timestep.numel() > 0
        return tuple(timestep.flatten().tolist()) if on_host else None
    return (float(timestep),) if isinstance(timestep, numbers.Real) else None
