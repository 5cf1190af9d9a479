"""A folder with good and broken files, and what a program says of the broken ones."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from tests.conftest import ROOT

CHECKPOINTS = ROOT / "resources/checkpoints"
PROMPTS = ROOT / "resources/prompts/digits.txt"
# A checkpoint of one's own; its folder comes next.
LOCAL_CHECKPOINT = ("checkpoint.py", "--name", "a", "--source", "local", "--folder")
BAR = re.compile(r"\d+%\||\d+it \[")
ERROR = re.compile(r"(\w+\.py: )?error: ")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """The working folder of a test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def below(folder: Path) -> dict[str, int]:
    """Everything below a folder with its time of change."""
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()} | {
        str(path): 0 for path in sorted(folder.rglob("*")) if path.is_dir()
    }


@pytest.fixture
def refusal(call, place, capfd) -> Callable[..., str]:
    """Run a program that must refuse its input; returns what it says.

    It says so in one line, with status 1 (or argparse's 2, below its usage), without a traceback, and leaves nothing.
    """

    def refusal(script: str, *options) -> str:
        before = below(place)
        capfd.readouterr()
        status = call(script, *options)
        printed, said = capfd.readouterr()
        assert status in (1, 2), f"{said}\nstatus {status}"
        assert "Traceback" not in printed + said
        lines = [line for line in said.splitlines() if line.strip() and not BAR.search(line)]
        errors = [line for line in lines if ERROR.match(line)]
        assert len(errors) == 1 and lines[-1] == errors[0], said
        assert status == 2 or len(lines) == 1, said
        assert below(place) == before, "something was left behind"
        return ERROR.sub("", errors[0])

    yield refusal
    diffusers_logging.enable_progress_bar()  # generate.py switches them off for the whole process
    transformers_logging.enable_progress_bar()


@pytest.fixture
def manifest(call, place) -> Callable[..., Path]:
    """A shipped checkpoint's manifest; `edit` gets a copy of its folder, which it may break."""

    def manifest(name: str, edit: Callable[[Path], object] | None = None) -> Path:
        folder = CHECKPOINTS / name
        if edit is not None:
            folder = place / "checkpoint"
            shutil.copytree(CHECKPOINTS / name, folder)
            edit(folder)
        output = place / f"{name}.json"
        options = ("--name", name, "--source", "local", "--folder", folder, "--output", output)
        assert call("checkpoint.py", *options) == 0
        return output

    return manifest


@pytest.fixture
def dataset(call, place) -> Callable[..., Path]:
    """The manifest of a dataset: of the bundled digits, or of a file."""

    def dataset(form: str, path: Path | None = None) -> Path:
        output = place / "dataset.json"
        where = () if path is None else ("--folder", path)
        options = ("--name", "data", "--source", "bundled", "--format", form, *where)
        assert call("dataset.py", *options, "--downloads", place / "downloads", "--output", output) == 0
        return output

    return dataset
