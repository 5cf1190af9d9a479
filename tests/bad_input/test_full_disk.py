"""A disk that fills while a program writes: it fails, says so, and leaves nothing half-written."""

import errno
import os
from pathlib import Path

import pytest

from tests.bad_input.conftest import CHECKPOINTS, LOCAL_CHECKPOINT, PROMPTS, below

PROGRAMS = {
    "a manifest of weights": (*LOCAL_CHECKPOINT, CHECKPOINTS / "digits-ddpm"),
    "a manifest of prompts": (
        *("dataset.py", "--name", "a", "--source", "local"),
        *("--format", "text", "--folder", PROMPTS, "--downloads", "d"),
    ),
    "a page": ("config_reference.py",),
    "samples": ("sample.py", "--checkpoint", "digits-ddpm.json", "--sampler", "ddim-2", "--shard-size", 1),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_is_left(name, call, place, manifest, monkeypatch, capfd):
    manifest("digits-ddpm")
    before = below(place)

    def full(self, target):
        assert self.exists(), "it is written beside its place"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    assert call(*PROGRAMS[name], "--output", "out/o.npz") == 1
    lines = capfd.readouterr().err.splitlines()
    assert lines[-1] == "error: out/o.npz: the disk is full: make room and run again"
    assert not any("Traceback" in line for line in lines)
    left = {path for path in below(place) if path not in before}
    assert left <= {str(place / "out")}, "a folder, and no file"
