"""Which tables the audit writes anew."""

from pathlib import Path

import pytest

from deepcache.files import sha256
from deepcache.results.recorded import Recorded
from deepcache.results.rederived import MEASURES, WRITES, rederive

PROGRAM = """
import argparse, pathlib
parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--read")
parser.add_argument("--output", type=pathlib.Path)
arguments = parser.parse_args()
arguments.output.parent.mkdir(parents=True, exist_ok=True)
arguments.output.write_text(f"of {arguments.read}")
"""
TABLE = "results/tiny/tables/table.csv"


TOLD = ("--read", "run.json", "--output", TABLE)


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder with a program in the place of the one that writes tables, and with the same in others."""
    for name in (WRITES[0], MEASURES[0], "workflow/preloaded.py", "results/tiny/own.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(PROGRAM, encoding="utf-8")
    return tmp_path


def record(*arguments: str, outputs: tuple[str, ...] = (TABLE,), program: str = WRITES[0]) -> Recorded:
    path = Path("results/tiny/records/write_table.json")
    own = ["--log", "log", "--record", "record", "--code", "0"]
    return Recorded(path, [*arguments, *own], f"{program}=0", {"run.json": "0"}, dict.fromkeys(outputs, "0"))


def test_a_table_of_runs_is_written_anew(root):
    (root / "expected").write_text("of run.json", encoding="utf-8")
    assert rederive([record(*TOLD)], root) == {TABLE: sha256(root / "expected")}


def test_what_is_measured_and_what_is_no_table_is_passed_over(root):
    assert rederive([record(*TOLD, program=MEASURES[0])], root) == {}
    assert rederive([record(*TOLD, outputs=(TABLE, "results/tiny/figures/fig.png"))], root) == {}


@pytest.mark.parametrize(
    "made",
    [
        *(record(*TOLD, program=name) for name in ("workflow/preloaded.py", "results/tiny/own.py", "../own.py", "")),
        record(*TOLD, "--output", "elsewhere.csv"),
        record(*TOLD, "--output=elsewhere.csv"),
        record(*TOLD, "--log=elsewhere.csv"),
        record(*TOLD, "--rec", "elsewhere.csv"),
        record("--read", "run.json"),
        record("--read", "run.json", "--output"),
    ],
)
def test_a_record_that_no_job_wrote_writes_nothing(root, monkeypatch, made):
    (root / "here").mkdir()
    monkeypatch.chdir(root / "here")
    assert rederive([made], root) == {TABLE: ""}
    assert not list(Path.cwd().iterdir())


def test_a_file_that_is_not_written_again_is_told(root):
    more = "results/tiny/tables/more.csv"
    found = rederive([record(*TOLD, outputs=(TABLE, more))], root)
    assert found[more] == ""
    assert found[TABLE]
