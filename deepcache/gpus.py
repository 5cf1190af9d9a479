"""How many GPUs there are, without importing torch, which takes seconds."""

import ctypes


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
