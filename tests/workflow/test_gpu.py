"""What runs on a lent GPU in minutes, tried on the CPU."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from deepcache.cost.speed_rounds import DRY_PLAN, GPU_PLAN, name_of
from deepcache.results.gpu_parts import LIMITS, TARGETS, gpu_parts, gpu_tests
from deepcache.results.latency import COLUMNS
from tests.workflow.project import ROOT

PROGRAM = ROOT / "workflow/scripts/gpu.py"


@pytest.mark.slow
def test_a_dry_run_writes_the_files_of_a_run(tmp_path):
    folder = tmp_path / "gpu"
    command = [sys.executable, PROGRAM, "--dry", "--cores", "2", "--limits", "600", "600", "900", "--output", folder]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {path.name for path in folder.iterdir() if path.is_file()}
    made = {suite: Path(file) for suite, (_, file, *_) in TARGETS.items()}
    tables = {
        f"{suite}-{made[suite].with_suffix(kind).name}"
        for suite in made
        for kind in (made[suite].suffix, TARGETS[suite][3])
    }
    logs = {"tests.txt", "speed.txt", "workflow.txt"}
    assert names == {"summary.md", "speed.csv", "speed.md", "speed.png"} | logs | tables
    speed = pd.read_csv(folder / "speed.csv")
    assert list(speed.columns) == COLUMNS
    assert set(zip(speed["model"], speed["batch"], strict=True)) == set(DRY_PLAN.cases)
    assert speed["waits_per_step"].notna().all()
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert summary.count("| done |") == 3
    assert "2 passed" in (folder / "tests.txt").read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {"gpu"}, "all that it writes lies there"


def test_limits_of_no_time_end_each_part_and_name_what_is_missing(tmp_path):
    folder = tmp_path / "gpu"
    command = [sys.executable, PROGRAM, "--dry", "--limits", *["0.2"] * 3, "--output", folder]
    for _ in range(2):  # the second run replaces what the first one left
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("stopped at its limit") == 3
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    for name in (
        *map(name_of, DRY_PLAN.pieces()),
        "the last test",
        "digits Table 2",
        "smoke Table 5",
        "emoji beside real ones",
    ):
        assert name in summary


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    done = subprocess.run([sys.executable, PROGRAM, "--dry", "--output", tmp_path], capture_output=True, text=True)
    assert done.returncode == 1 and "holds no summary.md" in done.stderr
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_a_run_on_a_gpu_takes_what_it_should(tmp_path):
    tests, speed, workflow = gpu_parts(ROOT, tmp_path, LIMITS, 4, dry=False)
    assert sum(LIMITS) == 360 and [part.limit for part in (tests, speed, workflow)] == list(LIMITS)
    assert "gpu" in tests.commands[0] and ROOT / "tests/caching/test_devices.py" in tests.commands[0]
    assert list(speed.pieces)[:-1] == [name_of(piece) for piece in GPU_PLAN.pieces()]
    for command, suite in zip(workflow.commands, (one[0] for one in TARGETS.values()), strict=True):
        planned = subprocess.run([*map(str, command), "-n"], cwd=tmp_path, capture_output=True, text=True)
        # Without a GPU Snakemake is told so, or plans jobs that take one.
        assert "sample_shard" in planned.stdout + planned.stderr, planned.stderr
        assert command[-1] == ROOT / suite and "device=cuda" in command and "gpu=1" in command


def test_every_file_with_tests_of_a_gpu_is_found():
    found = {str(path.relative_to(ROOT / "tests")) for path in gpu_tests(ROOT)}
    assert found >= {
        "caching/test_devices.py",
        "caching/test_graphs.py",
        "quality/test_precision_recall.py",
        "quality/test_precision_recall_adm.py",
    }
    marked = {
        str(path.relative_to(ROOT / "tests"))
        for path in (ROOT / "tests").rglob("test_*.py")
        if "pytest.mark.gpu" in path.read_text(encoding="utf-8")
    }
    assert marked <= found
