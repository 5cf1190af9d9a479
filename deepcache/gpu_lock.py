"""A GPU for each process: locks that the kernel frees with the process that holds them, however it ends."""

import fcntl
import itertools
import os
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from deepcache.errors import DeepCacheError, reason

POLL = 0.2  # seconds between looks for a free GPU
# The descriptors stay open: POSIX frees a process's lock of a file as soon as it closes any descriptor of that file. A
# fork holds none of these locks, so it finds nothing under its own number.
_held: dict[tuple[int, str], int] = {}  # by process and GPU


def take_gpu(names: Sequence[str], slots: int) -> int:
    """Index of a GPU that is this process's until it ends; waits until one is free. Asked again, it is the same one.

    Other users' processes are not seen.

    Args:
        names: what each GPU is called, the same in every process, such as its UUID; the first free one is taken.
        slots: how many processes may share a GPU; none shares one while another is free.

    Raises:
        DeepCacheError: if the locks cannot be kept where temporary files are.
    """
    for index, name in enumerate(names):
        if (os.getpid(), name) in _held:
            return index
    folder, waiting = _own_folder(), False
    while True:
        for slot, (index, name) in itertools.product(range(slots), enumerate(names)):
            descriptor = _lock(folder / f"{name}.{slot}")
            if descriptor is not None:
                _held[os.getpid(), name] = descriptor
                return index
        if not waiting:
            print(f"every GPU is taken: waiting for one (the locks are in {folder})", file=sys.stderr, flush=True)
            waiting = True
        time.sleep(POLL)


def _lock(path: Path) -> int | None:
    """Lock a file; returns its open descriptor, None where another process has the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A cleaner of temporary files may have removed it before it was locked; one just touched is left alone.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                os.utime(descriptor)
                return descriptor
        except (BlockingIOError, PermissionError, FileNotFoundError):  # POSIX has two errors for a lock that is held
            pass
        os.close(descriptor)
        return None
    except OSError as error:
        raise DeepCacheError(f"{path}: cannot be locked ({reason(error)}); set TMPDIR to a local disk") from error


def _own_folder() -> Path:
    """Where the locks are: nobody else can hold, remove or replace one."""
    folder = Path(tempfile.gettempdir(), f"deepcache-gpus-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise DeepCacheError(f"{folder}: cannot be made ({reason(error)}); set TMPDIR to another place") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise DeepCacheError(f"{folder}: is not yours alone; remove it, or set TMPDIR to another place")
    return folder
