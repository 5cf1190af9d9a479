"""Which tables the audit writes anew."""

from pathlib import Path

from deepcache.files import sha256
from deepcache.results.recorded import Recorded
from deepcache.results.rederived import rederive

PROGRAM = """
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--read")
parser.add_argument("--output", type=pathlib.Path)
arguments = parser.parse_args()
arguments.output.parent.mkdir(parents=True, exist_ok=True)
arguments.output.write_text(f"of {arguments.read}")
"""
TABLE = "results/tiny/tables/table.csv"


def record(inputs: dict, outputs: dict, *arguments: str) -> Recorded:
    path = Path("results/tiny/records/write_table.json")
    return Recorded(path, [*arguments, "--log", "log"], "write_table.py=0", inputs, outputs)


def test_a_table_of_runs_is_written_anew_and_a_measured_one_is_not(tmp_path):
    (tmp_path / "write_table.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "expected").write_text("of run.json", encoding="utf-8")
    told = ("--read", "run.json", "--output", TABLE)
    derived = record({"run.json": "0"}, {TABLE: "0"}, *told)
    assert rederive([derived], tmp_path) == {TABLE: sha256(tmp_path / "expected")}
    for other in (
        record({}, {TABLE: "0"}, *told),
        record({"run.json": "0"}, {TABLE: "0"}),
        record({"run.json": "0"}, {"results/tiny/figures/fig.png": "0"}, *told),
    ):
        assert rederive([other], tmp_path) == {}
