"""How often a program waits for the device: each time, launching ahead stops and the device runs dry."""

from collections.abc import Callable
from functools import partial

import torch

from deepcache.cost.profiled import profiled

# On a GPU, calls that return when the device is done; on a CPU, the operation that would make such a call there: a
# number is fetched from a tensor.
WAITING = {
    "cuda": {"cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize"},
    "cpu": {"aten::_local_scalar_dense"},
}


def waits_per_step(run: Callable[[int], object], cycle: int, device: torch.device) -> float:
    """Count in a profile; what happens once for a trajectory, and the profiler's own waiting, is not counted.

    Args:
        run: runs so many steps.
        cycle: steps after which full and shallow ones repeat.
        device: where it runs.
    """
    return (_waits(run, 2 * cycle, device) - _waits(run, cycle, device)) / cycle


def _waits(run: Callable[[int], object], steps: int, device: torch.device) -> int:
    events = profiled(partial(run, steps), device)
    return sum(event.count for event in events if event.key in WAITING[device.type])
