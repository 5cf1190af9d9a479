import subprocess
import sys
from pathlib import Path

import pandas as pd

from tests.beyond.swept import make, sweep, write

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "workflow/scripts/beyond/beyond_table.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_the_program_writes_the_same_bytes_twice(tmp_path, macs):
    sweeps = [one.path for one in make(tmp_path, sweep(5), sweep(10))]
    found = []
    for name in ("one", "two"):
        output = tmp_path / name / "beyond.csv"
        done = run("--sweeps", *sweeps, "--macs", f"a={macs['a']}", "--goals", "5=12", "10=7", "--output", output)
        assert done.returncode == 0, done.stderr
        found.append({path.name: path.read_bytes() for path in output.parent.iterdir()})
    assert found[0] == found[1]
    assert set(found[0]) == {"beyond.csv", "beyond_gains.csv", "beyond.md"}
    gains = pd.read_csv(tmp_path / "one/beyond_gains.csv")
    assert gains["goal_db"].tolist() == [12, 7]
    assert gains["reached"].tolist() == [False, True]
    assert pd.read_csv(tmp_path / "one/beyond.csv", dtype=str)["psnr_db"].isna().tolist()[:2] == [True, False]


def test_the_program_refuses_what_are_no_pairs(tmp_path):
    path = write(tmp_path / "b0-n5.json", sweep())
    done = run("--sweeps", path, "--macs", "a=x", "--goals", "5:12", "--output", tmp_path / "beyond.csv")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr == "error: --goals 5:12: write NAME=VALUE\n"
    assert not (tmp_path / "beyond.csv").exists()
