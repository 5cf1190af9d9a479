"""What runs beyond its limit is ended with all that it started."""

import os
import sys
import time

import psutil
import pytest

from deepcache.limits import MARK, run_within

# It starts a child in a session of its own, as Snakemake's server does, and hangs; so does the child.
HANGS = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""
LEAVES = HANGS.replace("time.sleep(600)\n", "sys.exit(3)\n")


def alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def gone(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_what_hangs_is_ended_with_its_children(tmp_path):
    log = tmp_path / "logs/part.txt"
    ended = run_within([sys.executable, "-c", HANGS], 3, log)
    assert ended.status is None
    assert 3 <= ended.seconds < 30
    assert gone(int(log.read_text(encoding="utf-8")))


def test_what_a_command_leaves_behind_is_ended_too(tmp_path):
    ended = run_within([sys.executable, "-c", LEAVES], 60, tmp_path / "log.txt")
    assert ended.status == 3
    assert gone(int((tmp_path / "log.txt").read_text(encoding="utf-8")))


def test_an_interruption_ends_it(tmp_path, monkeypatch):
    def interrupted(self, timeout=None):
        if timeout is None:
            return wait(self)
        while not log.read_text(encoding="utf-8"):
            time.sleep(0.05)
        raise KeyboardInterrupt

    log = tmp_path / "log.txt"
    from subprocess import Popen

    wait = Popen.wait
    monkeypatch.setattr(Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_within([sys.executable, "-c", HANGS], 60, log)
    assert gone(int(log.read_text(encoding="utf-8")))


def test_other_processes_stay(tmp_path):
    with psutil.Popen([sys.executable, "-c", "input()"], stdin=-1) as other:
        run_within([sys.executable, "-c", "pass"], 60, tmp_path / "log.txt")
        assert alive(other.pid)
        other.communicate(b"\n")
    assert MARK not in os.environ


def test_logs_are_continued_and_variables_given(tmp_path):
    log = tmp_path / "log.txt"
    for word in ("one", "two"):
        command = [sys.executable, "-c", "import os, sys; print(os.environ['WORD'], file=sys.stderr)"]
        assert run_within(command, 60, log, {**os.environ, "WORD": word}).status == 0
    assert log.read_text(encoding="utf-8") == "one\ntwo\n"
