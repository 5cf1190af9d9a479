"""Who gets which GPU: real processes, and names in place of GPUs."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from deepcache import gpu_lock
from deepcache.errors import DeepCacheError
from tests.gpu_holders import HOLD, TAKE, gpu_of, starter

# Its child goes on; the child says which GPU it gets itself.
FORK = f"""{TAKE}
first = take()
child = os.fork() == 0
os.write(1, b"%d\\n" % (take() if child else first))
sys.stdin.read()
"""
# While it holds a GPU its file is there, beside those of others that hold it.
VISIT = f"""{TAKE}
import time
gpu = take()
mine = f"{{gpu}}-{{os.getpid()}}"
open(mine, "x").close()
print(gpu, sum(name.startswith(f"{{gpu}}-") for name in os.listdir()))
time.sleep(0.05)
os.remove(mine)
"""


@pytest.fixture
def start(tmp_path):
    with starter(tmp_path) as start:
        yield start


def test_each_gpu_is_taken_before_any_is_shared(start):
    assert [gpu_of(start(HOLD, 2, "a", "b", "c")) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_no_gpu_has_more_processes_than_slots(start, tmp_path):
    (tmp_path / "visits").mkdir()
    visits = [start(VISIT, 2, "a", "b", "c", cwd=tmp_path / "visits") for _ in range(24)]
    seen = [tuple(map(int, visit.communicate(timeout=60)[0].split())) for visit in visits]
    assert len(seen) == 24 and {gpu for gpu, _ in seen} == {0, 1, 2}
    assert {beside for _, beside in seen} <= {1, 2}


def test_who_finds_none_says_so_once_and_gets_that_of_a_process_that_was_killed(start, tmp_path):
    holders = {gpu_of(holder): holder for holder in [start(HOLD, 1, "a", "b") for _ in range(2)]}
    assert holders.keys() == {0, 1}
    late = start(HOLD, 1, "a", "b")
    folder = tmp_path / f"deepcache-gpus-{os.getuid()}"
    assert late.stderr.readline() == f"every GPU is taken: waiting for one (the locks are in {folder})\n"
    time.sleep(3 * gpu_lock.POLL)
    assert late.poll() is None
    holders[1].send_signal(signal.SIGKILL)
    assert gpu_of(late) == 1
    assert late.communicate(timeout=60)[1] == ""


def test_a_fork_has_a_gpu_of_its_own_and_keeps_none_of_its_parent(start):
    parent = start(FORK, 1, "a", "b")
    assert {gpu_of(parent), gpu_of(parent)} == {0, 1}
    parent.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, parent.pid, os.WEXITED | os.WNOWAIT)
    assert gpu_of(start(HOLD, 1, "a", "b")) == 0, "the fork lives and has the other one"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Callable[[], int]:
    """Take a GPU in this process, as if it had none."""
    monkeypatch.setattr(gpu_lock, "_held", {})
    monkeypatch.setattr(gpu_lock.tempfile, "gettempdir", lambda: str(tmp_path))
    return lambda: gpu_lock.take_gpu(["a", "b"], 1)


def test_a_process_that_asks_again_gets_the_same(here, start):
    assert here() == here() == 0
    assert gpu_of(start(HOLD, 1, "a", "b")) == 1


def test_a_lock_file_that_was_removed_before_it_was_locked_is_made_again(here, start, tmp_path, monkeypatch):
    lock, removed = gpu_lock.fcntl.lockf, []

    def lockf(descriptor: int, *options) -> None:
        if not removed:
            removed.extend(tmp_path.glob("*/a.0"))
            removed[0].unlink()
        lock(descriptor, *options)

    monkeypatch.setattr(gpu_lock.fcntl, "lockf", lockf)
    assert here() == 1, "the first file was nobody's any more"
    assert gpu_of(start(HOLD, 1, "a", "b")) == 0


@pytest.mark.parametrize("fault", ["open to all", "a link", "a file", "someone else's"])
def test_locks_are_not_kept_where_others_could_take_them(fault, here, tmp_path, monkeypatch):
    folder, own = tmp_path / f"deepcache-gpus-{os.getuid()}", tmp_path / "own"
    own.mkdir(mode=0o700)
    if fault == "open to all":
        folder.mkdir()
        folder.chmod(0o777)
    elif fault == "a link":
        folder.symlink_to(own)
    elif fault == "a file":
        folder.touch(mode=0o600)
    else:
        user = os.getuid() + 1
        folder = folder.with_name(f"deepcache-gpus-{user}")
        folder.mkdir(mode=0o700)
        monkeypatch.setattr(gpu_lock.os, "getuid", lambda: user)
    with pytest.raises(DeepCacheError, match="TMPDIR") as raised:
        here()
    assert str(raised.value).startswith(f"{folder}: ") and "\n" not in str(raised.value)
