"""A machine that has too little of something is named in a line, in every program; a defect is not hidden by it."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepcache import cli
from deepcache.shortages import shortage

ROOT = Path(__file__).resolve().parents[1]
CPU_MEMORY = "[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "writing: the disk is full: make room and run again"),
        (OSError(errno.EDQUOT, "Quota", "a/b"), "a/b: the disk is full: make room and run again"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "a/b: Permission denied"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", b"a"), "a: No such file or directory"),
        (
            MemoryError(),
            "the machine's memory is too small (MemoryError): run fewer jobs at a time, or",
        ),
        (RuntimeError(CPU_MEMORY), f"the machine's memory is too small ({CPU_MEMORY}): run fewer jobs at a time, or"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            "the device's memory is too small (CUDA out of memory. Tried to allocate 2 GiB): take smaller batches, or",
        ),
        (RuntimeError("shape mismatch"), None),
        (OSError("neither a file nor an address"), None),
        (ZeroDivisionError(), None),
    ],
)
def test_what_is_said(error, line):
    found = shortage(error)
    assert found is None if line is None else found.startswith(line)


def test_a_program_says_it_in_a_line_and_fails(monkeypatch, capsys):
    def main(arguments):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(SystemExit) as end:
        cli.run(main, cli.argument_parser("A program."))
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the device's memory is too small (CUDA out of memory)")


def test_memory_that_the_machine_does_not_have():
    """A real allocation, larger than any machine's memory."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert shortage(caught.value).startswith("the machine's memory is too small")


@pytest.mark.parametrize(
    ("program", "options"),
    [
        (
            "dataset.py",
            ["--name", "d", "--source", "bundled", "--format", "digits", "--downloads", "x", "--output", "out/d.json"],
        ),
        ("checkpoint.py", ["--name", "c", "--source", "shipped", "--folder", "weights", "--output", "out/c.json"]),
    ],
)
def test_a_disk_that_fills_leaves_nothing_half_written(tmp_path, program, options):
    """No file may have more than a few bytes: as on a disk that fills, what is written stops in the middle."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.safetensors").write_bytes(b"w" * 2000)
    done = subprocess.run(
        [sys.executable, ROOT / "workflow/scripts" / program, *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == f"error: {options[-1]}: the disk is full: make room and run again\n"
    assert list((tmp_path / "out").iterdir()) == []
