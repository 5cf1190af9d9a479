"""Editing a module redoes what stands on it, and nothing else."""

import os

import pytest

from deepcache.imports import import_closure
from tests.workflow.project import ROOT, jobs


@pytest.fixture
def planned_after_editing(finished):
    """A function that says how many jobs of each rule are planned when a file has been edited."""
    edited = []

    def planned(name: str) -> dict[str, int]:
        file = finished.folder / name
        edited.append((file, file.read_text(encoding="utf-8"), file.stat()))
        file.write_text(file.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
        return jobs(finished.run("table2", "table6", "-n").stdout)

    yield planned
    for file, text, stat in edited:
        file.write_text(text, encoding="utf-8")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_a_module_deep_in_the_closure(finished, planned_after_editing):
    """noise.py is imported by a family of models, which a function of a function imports."""
    planned = planned_after_editing("deepcache/sampling/noise.py")
    assert planned["sample_shard"] == len(list(finished.results.rglob("shards/*.npz")))
    assert {"collect_run", "metrics", "write_table2"} <= planned.keys()
    assert "reference_statistics" not in planned


def test_a_module_that_only_tables_stand_on(planned_after_editing):
    planned = planned_after_editing("deepcache/results/markdown.py")
    assert {"write_table2", "write_table6"} <= planned.keys()
    assert not {"sample_shard", "metrics", "paired", "time_models"} & planned.keys()


@pytest.mark.parametrize("name", ["deepcache/beyond/equal_time/contest.py", "deepcache/report/captions.py"])
def test_a_module_outside(planned_after_editing, name):
    assert planned_after_editing(name) == {}


def test_every_program_that_samples_stands_on_the_sampling_loop():
    for name in ("sample", "time_models", "memory", "beyond/sweep", "beyond/budget"):
        closure = import_closure(ROOT / f"workflow/scripts/{name}.py", ROOT)
        assert ROOT / "deepcache/models/ldm_pipeline.py" in closure, name
        assert ROOT / "deepcache/report/captions.py" not in closure, name
