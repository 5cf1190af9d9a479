"""What to say where the machine, not the program, is at fault: memory, disk, rights."""

import errno
import os

from deepcache.errors import reason

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What torch says where the machine's own memory is short; for a device's it has an exception.
NO_MEMORY = "can't allocate memory"


def shortage(error: BaseException) -> str | None:
    """One line for an error that more room or other rights would mend; None for any other one."""
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return f"{os.fsdecode(error.filename or 'writing')}: the disk is full: make room and run again"
    if isinstance(error, OSError) and None not in (error.filename, error.strerror):
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, MemoryError) or NO_MEMORY in str(error):
        return f"the machine's memory is too small ({reason(error)}): run fewer jobs at a time, or smaller batches"
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be imported here
        return f"the device's memory is too small ({reason(error)}): take smaller batches, or a larger device"
    return None
