"""The server that forks for each job behaves as plain Python does."""

import functools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PRELOADED = Path(__file__).resolve().parents[2] / "workflow" / "preloaded.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server; yields the environment that leads clients to it."""
    address = tmp_path_factory.mktemp("server") / "inner" / "socket"
    address.parent.mkdir()
    process = subprocess.Popen([sys.executable, PRELOADED, "--serve", address])
    deadline = time.monotonic() + 20
    while not address.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield {**os.environ, "DEEPCACHE_PRELOADED": f"{sys.prefix}{os.pathsep}{address}"}
    process.kill()
    process.wait()


def run(tmp_path, program: str, environment: dict, *arguments: str):
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    return subprocess.run(
        [sys.executable, PRELOADED, "program.py", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


PROGRAM = """
import os, sys
print("arguments", sys.argv[1:], os.getcwd(), os.environ["MARK"], __name__, "torch" in sys.modules)
print("to stderr", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("status", [0, 3])
def test_output_folder_environment_and_status_pass_through(server, tmp_path, status):
    preloaded = run(tmp_path, PROGRAM, {**server, "MARK": "here"}, str(status), "x y")
    expected = f"arguments {[str(status), 'x y']} {tmp_path} here __main__"
    assert preloaded.stdout.strip() == f"{expected} True"
    assert preloaded.stderr.strip() == "to stderr"
    assert preloaded.returncode == status


def test_without_a_server_the_program_runs_the_ordinary_way(tmp_path):
    plain = {name: value for name, value in os.environ.items() if name != "DEEPCACHE_PRELOADED"}
    for environment in (plain, {**plain, "DEEPCACHE_PRELOADED": f"{sys.prefix}{os.pathsep}{tmp_path}/none"}):
        done = run(tmp_path, PROGRAM, {**environment, "MARK": "here"}, "5")
        assert done.stdout.strip().endswith("here __main__ False")
        assert done.returncode == 5


LOUD = "import os, sys; os.write(1, b'from below'); print('out'); print('to stderr', file=sys.stderr); sys.exit(3)"


@pytest.mark.parametrize("served", [True, False])
def test_a_program_with_a_log_prints_there_alone(server, tmp_path, served):
    environment = server if served else {**server, "DEEPCACHE_PRELOADED": ""}
    done = run(tmp_path, LOUD, environment, "--log", "logs/of it.log")
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
    printed = (tmp_path / "logs/of it.log").read_text(encoding="utf-8")
    assert sorted(re.findall("from below|out|to stderr", printed)) == ["from below", "out", "to stderr"]


def test_why_a_job_was_killed_is_in_its_log(server, tmp_path):
    run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", server, "--log", "log")
    assert "its process was killed" in (tmp_path / "log").read_text(encoding="utf-8")


def test_an_exception_is_shown_and_fails(server, tmp_path):
    done = run(tmp_path, "raise ValueError('broken')", server)
    assert "ValueError: broken" in done.stderr
    assert done.returncode == 1


def test_a_killed_worker_fails_its_job(server, tmp_path):
    done = run(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", server)
    assert done.returncode == 1
    assert "its process was killed" in done.stderr


def test_a_worker_dies_with_its_client(server, tmp_path):
    (tmp_path / "program.py").write_text(
        "import os, time, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(60)\n",
        encoding="utf-8",
    )
    client = subprocess.Popen([sys.executable, PRELOADED, "program.py"], cwd=tmp_path, env=server)
    pid_file = tmp_path / "pid"
    deadline = time.monotonic() + 60
    while not (pid_file.exists() and pid_file.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.send_signal(signal.SIGKILL)
    client.wait()
    worker = Path("/proc", pid_file.read_text(encoding="utf-8"))
    deadline = time.monotonic() + 10
    while worker.exists():
        assert time.monotonic() < deadline, "the worker outlives its client"
        time.sleep(0.05)


def test_an_interrupted_job_says_so_in_a_line(server, tmp_path):
    (tmp_path / "program.py").write_text(
        "import pathlib, time; pathlib.Path('started').touch(); time.sleep(60)\n", encoding="utf-8"
    )
    command = [sys.executable, PRELOADED, "program.py", "--log", "log"]
    # A shell's background jobs ignore the signal, and what they start does, too.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    client = subprocess.Popen(command, cwd=tmp_path, env=server, preexec_fn=heed)
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.send_signal(signal.SIGINT)
    assert client.wait(timeout=30) == 1
    assert (tmp_path / "log").read_text(encoding="utf-8") == "interrupted\n"


def test_numbers_are_those_of_plain_python(server, tmp_path):
    program = "import torch; torch.manual_seed(0); x = torch.randn(64, 64); print((x @ x).sum().item())"
    plain = {name: value for name, value in os.environ.items() if name != "DEEPCACHE_PRELOADED"}
    assert run(tmp_path, program, server).stdout == run(tmp_path, program, plain).stdout != ""


# Where the driver is, the management library tells how many devices there are; asking CUDA itself spoils every fork.
FORKING = """
import os, sys
sys.path.insert(0, {folder!r})
import preloaded, torch
torch.cuda._device_count_nvml = lambda: 1
preloaded._import_modules()
{asking}
print(torch.cuda.is_initialized(), flush=True)
if os.fork() == 0:
    print(torch.cuda._is_in_bad_fork(), flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize(
    ("asking", "spoilt"),
    [
        ("", "False"),
        ("torch.cuda.is_available()", "False"),
        ("del os.environ['PYTORCH_NVML_BASED_CUDA_CHECK']; torch.cuda.is_available()", "True"),
        ("torch._C._cuda_getDeviceCount()", "True"),
    ],
)
def test_what_the_server_imports_leaves_cuda_to_the_jobs(asking, spoilt):
    program = FORKING.format(folder=str(PRELOADED.parent), asking=asking)
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert found.stdout.split() == ["False", spoilt], found.stderr
