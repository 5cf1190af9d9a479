"""A schedule, one that decides while it samples, a reuse, a table and a figure, each added in one place."""

import json

import pandas as pd
import pytest

from tests.workflow.project import TINY

HALF = """
from dataclasses import dataclass

from deepcache.methods.parts import parameter
from deepcache.methods.schedule import NamedSchedule


@dataclass(frozen=True)
class Early(NamedSchedule):
    name = "early"

    extra: int = parameter("x", "full steps beyond every N-th", minimum=0)

    def full_steps(self, num_steps):
        return tuple(range(-(-num_steps // self.interval) + self.extra))
"""
ALTERNATING = """
from dataclasses import dataclass

from deepcache.caching.online import OnlineSchedule
from deepcache.methods.schedule import NamedSchedule


class Count(OnlineSchedule):
    def __init__(self, interval):
        self.interval = interval
        self.reset()

    def reset(self):
        self.seen = 0

    def is_full(self, step, sample):
        self.seen += 1
        return self.seen % self.interval == 1


@dataclass(frozen=True)
class Alternating(NamedSchedule):
    name = "alternating"

    def full_steps(self, num_steps):
        return Count(self.interval)

    def num_full(self, num_steps):
        return -(-num_steps // self.interval)
"""
DOUBLED = """
from dataclasses import dataclass

from deepcache.caching.reuse import Hold
from deepcache.methods.reuse import NamedReuse


class Twice(Hold):
    def predict(self, step):
        return 2 * super().predict(step)


@dataclass(frozen=True)
class Doubled(NamedReuse):
    name = "doubled"

    def make(self):
        return Twice()
"""
RUNS = {
    "uniform": {"interval": 5},
    "early": {"interval": 5, "schedule": "early", "extra": 1},
    "alternating": {"interval": 5, "schedule": "alternating"},
    "doubled": {"interval": 5, "reuse": "doubled"},
}
OVERLAY = {
    "tables": {
        **TINY["tables"],
        "mine": {
            "title": "Mine",
            "note": "One row for each.",
            "model": "digits-ddpm",
            "branch": 2,
            "columns": ["macs_g", "fid"],
            "rows": [{"labels": {"method": name}, "runs": {"ours": run}} for name, run in RUNS.items()],
        },
    },
    "sample_grids": {**TINY["sample_grids"], "mine_samples": {"title": "Mine", "table": "mine", "images": 2}},
}


@pytest.fixture(scope="module")
def project(fresh):
    project = fresh()
    for name, text in {"early": HALF, "alternating": ALTERNATING, "doubled": DOUBLED}.items():
        (project.folder / f"deepcache/methods/{name}.py").write_text(text, encoding="utf-8")
    done = project.run("mine", "--cores", "1", overlay=OVERLAY)
    assert done.returncode == 0, done.stdout
    return project


def test_the_table_has_them(project):
    table = pd.read_csv(project.results / "tables/mine.csv").set_index("method")
    assert table["fid"].notna().all()
    assert table.loc["uniform", "macs_g"] == table.loc["alternating", "macs_g"] < table.loc["early", "macs_g"]
    assert table.loc["uniform", "fid"] == table.loc["alternating", "fid"] != table.loc["doubled", "fid"]
    assert (project.results / "figures/mine_samples.png").read_bytes()[:4] == b"\x89PNG"


def test_paths_and_sidecars_name_them(project):
    runs = project.results / "digits-ddpm/ddim-10"
    steps = {
        slug: json.loads((runs / slug / "seed-0/run.json").read_text(encoding="utf-8"))["settings"]["full_steps"]
        for slug in ("early-n5-x1-b2", "alternating-n5-b2", "uniform-n5-b2-doubled")
    }
    assert list(steps.values()) == [[0, 1, 2], None, [0, 5]]


def test_a_mistake_in_its_parameters_is_named(project):
    rows = [{"labels": {"method": "early"}, "runs": {"ours": {"interval": 5, "schedule": "early"}}}]
    wrong = {**OVERLAY, "tables": {**OVERLAY["tables"], "mine": {**OVERLAY["tables"]["mine"], "rows": rows}}}
    done = project.run("mine", "-n", overlay=wrong)
    assert done.returncode != 0
    assert "config: tables.mine.rows[0].runs.ours.extra: early needs it" in done.stdout


def test_editing_one_redoes_its_own_runs_alone(project):
    file = project.folder / "deepcache/methods/early.py"
    file.write_text(file.read_text(encoding="utf-8") + "\n# edited\n", encoding="utf-8")
    planned = project.run("mine", "-n", "--workflow-profile", "none", overlay=OVERLAY).stdout
    redone = [line for line in planned.splitlines() if "/shards/" in line and "output:" in line]
    assert redone and all("early-n5-x1-b2" in line for line in redone)
