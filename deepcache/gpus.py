"""How many GPUs there are, and how many jobs share one, without importing torch, which takes seconds."""

import ctypes

JOBS_PER_GPU = "DEEPCACHE_JOBS_PER_GPU"  # a variable, so that a job's command is the same on every machine


def count_gpus() -> int:
    """CUDA devices that a program started here would see: CUDA_VISIBLE_DEVICES counts, as it does for torch."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
