"""Commands under a limit of seconds: one that runs beyond it is ended with all that it has started."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# In the environment of a command and so of all that it starts, in whatever session or process group.
MARK = "DEEPCACHE_LIMITED"


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: its exit status; None if it was ended at its limit.
        seconds: how long it ran.
    """

    status: int | None
    seconds: float


def run_within(
    command: Sequence[str | os.PathLike],
    seconds: float,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command; when it ends, or the seconds are over, kill what it started and left.

    Args:
        command: the program and its arguments.
        seconds: the limit.
        log: what it says is appended there.
        environment: its variables; default: this process's.
    """
    mark = f"{MARK}={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    start = time.monotonic()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as messages:
        process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=messages,
            stderr=subprocess.STDOUT,
            env={**(os.environ if environment is None else environment), name: value},
            start_new_session=True,
        )
    status = None
    try:
        with suppress(subprocess.TimeoutExpired):
            status = process.wait(timeout=seconds)
    finally:  # also where this process is interrupted
        _kill(process, mark.encode())
    return Ended(status, time.monotonic() - start)


def _kill(process: subprocess.Popen, mark: bytes) -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    while found := list(_marked(mark)):  # again: one may have started another meanwhile
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _marked(mark: bytes) -> Iterator[int]:
    """Living processes that have inherited the mark; none are found where there is no /proc."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)
