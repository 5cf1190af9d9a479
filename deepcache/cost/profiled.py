"""What a program did, operation by operation."""

import os
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile


def profiled(run: Callable[[], object], device: torch.device):
    """Run something under torch's profiler, up to the end of what the device has to do for it.

    Returns:
        torch's averages, one for each operation.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own log, which speaks of a GPU where there is none
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
        torch.cuda.synchronize(device)
    with profile(activities=activities) as found:
        run()
    return found.key_averages()
