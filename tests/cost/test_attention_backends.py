import pandas as pd
import torch

from deepcache.cost.attention_backends import BACKENDS, time_backends


def test_backends_that_are_there_agree_and_are_timed():
    found = {row["backend"]: row for row in time_backends((1, 2, 64, 8), 16, torch.float32, torch.device("cpu"), 1)}
    assert list(found) == list(BACKENDS)
    for row in found.values():
        assert (row["missing"] is None) == (row["seconds"] is not None) == (row["error"] is not None)
    for name in ("default", "math"):
        assert found[name]["error"] < 1e-5 and found[name]["seconds"] > 0
    assert "backend" in found["cudnn"]["missing"], "none for a CPU"


def test_the_program_writes_a_row_for_each(tmp_path, call):
    size = ("--images", 1, 2, "--tokens", 32, "--repeats", 1, "--precision", "float32", "--device", "cpu")
    assert call("attention_backends.py", *size, "--output", tmp_path / "backends.csv") == 0
    rows = pd.read_csv(tmp_path / "backends.csv")
    assert len(rows) == 2 * 2 * len(BACKENDS) and set(rows["keys"]) == {32, 77}
