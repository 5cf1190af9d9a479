"""Processes that take GPUs, which are names here."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deepcache.gpus import JOBS_PER_GPU

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60  # within which a process gets what is free
TAKE = (
    "import os, sys; from deepcache.gpu_lock import take_gpu; take = lambda: take_gpu(sys.argv[2:], int(sys.argv[1]));"
)
HOLD = f"{TAKE} print(take(), flush=True); sys.stdin.read()"


@contextmanager
def starter(folder: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """A function that starts a program with slots and names of GPUs; its input ends with the `with`.

    Args:
        folder: where all of them have their locks.
    """
    started = []
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)}
    environment.pop(JOBS_PER_GPU, None)

    def start(program: str, slots: int, *names: str, **options) -> subprocess.Popen:
        command = [sys.executable, "-c", program, str(slots), *names]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        options = {"env": environment, "text": True, "start_new_session": True, **pipes, **options}
        started.append(subprocess.Popen(command, **options))
        return started[-1]

    yield start
    for process in started:
        process.communicate(timeout=SECONDS)


def gpu_of(process: subprocess.Popen) -> int:
    """The index of the GPU that it says it has taken."""
    late = threading.Timer(SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    late.start()
    line = process.stdout.readline()
    late.cancel()
    assert line, "it got none"
    return int(line)
