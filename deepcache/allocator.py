"""glibc's allocator, by which tensors on the CPU get their memory."""

import ctypes
import os

# mallopt(3). Larger thresholds for mmap are refused.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
VALUES = {M_MMAP_THRESHOLD: 32 * 2**20, M_TRIM_THRESHOLD: 2**31 - 1}


def keep_memory() -> None:
    """Let this process keep the memory of tensors that are no longer needed, for the next ones.

    Otherwise it is handed back to the system after every operation, for up to a third of the time. Nothing happens
    where the allocator is another one, or where MALLOC_* in the environment says what it should do.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None or any(name.startswith("MALLOC_") for name in os.environ):
        return
    for parameter, value in VALUES.items():
        mallopt(parameter, value)
