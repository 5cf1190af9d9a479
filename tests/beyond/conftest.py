from pathlib import Path

import pytest

from tests.beyond.swept import write


@pytest.fixture
def macs(tmp_path) -> dict[str, Path]:
    """MACs of the models of tests.beyond.swept."""
    counted = {"full_g": 10.0, "shallow_g": {"0": 1.0, "2": 4.0}}
    return {"a": write(tmp_path / "macs/a.json", counted), "b": write(tmp_path / "macs/b.json", counted)}
