"""The timesteps that a U-Net is called with, told apart without waiting for the device.

A sampler goes through an array of timesteps and calls the U-Net with parts of it: views. Where such a view lies in
memory is known at once, wherever the array is, and tells apart timesteps of equal value (PLMS repeats one). Whoever
compares two timesteps must still hold the earlier one: its memory is then no other's.
"""

import numbers

import torch

Timestep = torch.Tensor | float | int | None


def is_part(timestep: Timestep) -> bool:
    """Whether it is a view of one timestep in an array of several."""
    if not isinstance(timestep, torch.Tensor) or timestep.numel() == 0:
        return False
    different = 1 if not any(timestep.stride()) else timestep.numel()  # all strides are 0 where it was expanded
    return timestep.untyped_storage().nbytes() > different * timestep.element_size()


def in_one_array(one: Timestep, other: Timestep) -> bool:
    """Whether both lie in the same memory."""
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return False
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr() != 0


def moved(before: torch.Tensor, now: torch.Tensor) -> int:
    """How far `now` lies behind `before` in their array, in elements."""
    return now.storage_offset() - before.storage_offset()


def value(timestep: Timestep) -> float | None:
    """The first of its numbers; None where it lies on a device, for which one would have to wait."""
    if isinstance(timestep, torch.Tensor):
        return float(timestep.flatten()[0]) if timestep.device.type == "cpu" and timestep.numel() else None
    return float(timestep) if isinstance(timestep, numbers.Real) else None
