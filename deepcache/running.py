"""Which workflows run in a folder; what one has started ends with it, and what one has left is known.

A running workflow holds a lock on a file, which the kernel frees when its process ends, however it ends.
"""

import atexit
import fcntl
import os
import signal
import socket
import threading
from collections.abc import MutableMapping
from pathlib import Path
from typing import TextIO

VARIABLE = "DEEPCACHE_RUNNING"  # in the environment of jobs: the file of their workflow
_HELD: list[tuple[Path, TextIO]] = []  # the file of this process, open as long as it lives


def announce(folder: Path) -> list[Path]:
    """Say that this process is a running workflow.

    Args:
        folder: of the files of workflows.

    Returns:
        The files of workflows that were killed, for `forget`: none where another still runs, or may run on another
        machine, or where the file system has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{socket.gethostname()}-{os.getpid()}"
    new, path = folder / f".{name}", folder / f"{name}.lock"
    file = new.open("w", encoding="utf-8")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        new.unlink()
        return []
    others = [other for other in folder.glob("*.lock") if other != path]
    new.replace(path)  # locked before it has its name, so that nobody takes it for one left behind
    _HELD[:] = [(path.resolve(), file)]
    atexit.register(_leave, path.resolve(), os.getpid())
    return [] if any(map(_may_live, others)) else others


def forget(path: Path) -> list[tuple[str, str]]:
    """Remove the file of a workflow that was killed; returns what it had noted."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    path.unlink(missing_ok=True)
    return [(kind, value) for kind, _, value in (line.partition(" ") for line in lines)]


def note(kind: str, value: str | Path) -> None:
    """Note what this workflow has made or started outside its folder, for whoever clears away if it is killed."""
    for _, file in _HELD:
        print(kind, value, file=file, flush=True)


def tie(environment: MutableMapping[str, str]) -> None:
    """Let programs that are started with this environment end with this process: see `end_with_workflow`."""
    for path, _ in _HELD:
        environment[VARIABLE] = str(path)


def end_with_workflow() -> None:
    """End this process when the workflow that started it, if one did, is gone: nobody waits for what it makes."""
    path = os.environ.get(VARIABLE)
    if path:
        threading.Thread(target=_wait, args=(Path(path),), daemon=True).start()


def _wait(path: Path) -> None:
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)  # which the workflow holds
    except FileNotFoundError:
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _may_live(path: Path) -> bool:
    """Whether the process of a file runs: one on another machine cannot be asked."""
    if path.stem.rpartition("-")[0] != socket.gethostname():
        return True
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _leave(path: Path, process: int) -> None:
    if os.getpid() == process:  # not in one that was forked off
        path.unlink(missing_ok=True)
