"""Workflows that run in a folder: which live, which were killed; what they started ends with them."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepcache import running

WORKFLOW = """
import os, subprocess, sys, time
from pathlib import Path
from deepcache import running
print(running.announce(Path("running")), flush=True)
running.note("folder", "a place with spaces")
running.tie(os.environ)
if sys.argv[1:]:
    subprocess.Popen([sys.executable, "-c", sys.argv[1]])
sys.stdin.read()
"""
JOB = """
import os, time
from pathlib import Path
from deepcache import running
running.end_with_workflow()
Path("job").write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.fixture
def workflow(tmp_path):
    """A function that starts a workflow, and waits until it has announced itself; what it said is `said`."""
    started = []

    def start(*job: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKFLOW, *job],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        process.said = process.stdout.readline().strip()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("running/*"))


def test_one_that_ends_leaves_nothing(workflow, tmp_path):
    process = workflow()
    assert left_in(tmp_path) == [f"{socket.gethostname()}-{process.pid}.lock"]
    process.communicate("")
    assert left_in(tmp_path) == []


def test_one_that_was_killed_is_found_with_what_it_noted(workflow, tmp_path, monkeypatch):
    killed = workflow()
    wait_for(lambda: (tmp_path / "running" / left_in(tmp_path)[0]).read_text(encoding="utf-8"))
    killed.kill()
    killed.wait()
    monkeypatch.chdir(tmp_path)
    left = running.announce(Path("running"))
    assert [path.name for path in left] == [f"{socket.gethostname()}-{killed.pid}.lock"]
    assert running.forget(left[0]) == [("folder", "a place with spaces")]
    assert left_in(tmp_path) == [f"{socket.gethostname()}-{os.getpid()}.lock"]


def test_beside_one_that_lives_nothing_is_cleared_away(workflow):
    killed, living = workflow(), workflow()
    killed.kill()
    killed.wait()
    assert workflow().said == "[]"
    living.communicate("")


def test_one_of_another_machine_may_live(workflow, tmp_path):
    (tmp_path / "running").mkdir()
    (tmp_path / "running/elsewhere-1.lock").touch()
    assert workflow().said == "[]"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_a_job_ends_with_its_workflow_however_that_ends(workflow, tmp_path, end):
    process = workflow(JOB)
    wait_for(lambda: (tmp_path / "job").exists() and (tmp_path / "job").read_text(encoding="utf-8"))
    job = Path("/proc", (tmp_path / "job").read_text(encoding="utf-8"))
    assert job.exists()
    if end is None:
        process.communicate("")
    else:
        process.send_signal(end)
        process.wait()
    wait_for(lambda: not job.exists() or "Z" in (job / "stat").read_text(encoding="utf-8").split()[2])


def test_a_job_whose_workflow_is_gone_already_ends_at_once(tmp_path):
    environment = {**os.environ, running.VARIABLE: str(tmp_path / "gone.lock")}
    done = subprocess.run([sys.executable, "-c", JOB], cwd=tmp_path, env=environment, timeout=20)
    assert done.returncode == -signal.SIGKILL


def test_a_program_without_a_workflow_runs(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != running.VARIABLE}
    program = JOB.replace("time.sleep(60)", "time.sleep(0.2)")
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment).returncode == 0
