"""`keep_samples: false`: shards go when they were read, come back only if asked for, and the tables are the same."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from deepcache.results.audit import audit
from tests.workflow.project import PARTS, jobs, untimed
from tests.workflow.test_searches import RUNS, SEARCH

TEMPORARY = {"keep_samples": False, "sample_grids": {"table2_samples": {"where": {"interval": [1, 2]}}}}
TARGETS = ("table6", "results/tiny/figures/table2_samples.png")


class Watch:
    """How many shards lie on the disk, and of how many runs, at most, while something runs."""

    def __init__(self, results):
        self.results, self.shards, self.runs, self._over = results, 0, 0, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.02):
            found = list(self.results.rglob("shards/0*.npz"))
            self.shards = max(self.shards, len(found))
            self.runs = max(self.runs, len({path.parent for path in found}))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


@pytest.fixture(scope="module")
def read(fresh):
    """A project in which Table 6 and a picture were made; `watch` saw the shards meanwhile."""
    project = fresh()
    with Watch(project.results) as project.watch:
        done = project.run(*TARGETS, "--cores", "1", overlay=TEMPORARY)
    assert done.returncode == 0, done.stdout
    return project


def shards(project) -> list[str]:
    return sorted(str(path.relative_to(project.results)) for path in project.results.rglob("shards/*.npz"))


def sampled(screen: str) -> list[str]:
    """The shards that were sampled, out of Snakemake's own messages (-p)."""
    return re.findall(r"^ *output: (\S*/shards/\S+)$", screen, flags=re.M)


def test_one_run_at_a_time_lies_on_the_disk(read):
    assert (read.watch.shards, read.watch.runs) == (2, 1)
    assert shards(read) == []
    run = read.results / "digits-ddpm/ddim-10/full/seed-0"
    assert {"run.json", "metrics.json", "features.npz", "first.npz"} <= {path.name for path in run.iterdir()}


def test_the_tables_are_those_of_kept_samples(read, finished):
    pd.testing.assert_frame_equal(untimed(read, "table06"), untimed(finished, "table06"), check_exact=True)


def test_the_audit_knows_that_shards_are_not_kept(read, monkeypatch):
    monkeypatch.chdir(read.folder)
    found = audit(Path("results/tiny"), read.folder)
    assert found.findings == []
    assert found.not_kept == 6 * 2


def test_nothing_is_made_again(read):
    assert "Nothing to be done" in read.run(*TARGETS, "-n", overlay=TEMPORARY).stdout
    # As git does it: all that is the project's is newer than what was made from it.
    for part in PARTS:
        if part != "resources":
            for path in (read.folder / part, *(read.folder / part).rglob("*")):
                os.utime(path)
    assert "Nothing to be done" in read.run(*TARGETS, "-n", overlay=TEMPORARY).stdout


def test_a_shard_that_is_asked_for_is_made_and_stays(read):
    """It is newer than what was measured: its run, and no other, would be measured again."""
    shard = "digits-ddpm/ddim-10/uniform-n2-b2/seed-0/shards/00001.npz"
    done = read.run(f"results/tiny/{shard}", "--cores", "1", overlay=TEMPORARY)
    assert done.returncode == 0, done.stdout
    assert shards(read) == [shard]
    planned = jobs(read.run(*TARGETS, "-n", overlay=TEMPORARY).stdout)
    assert (planned["sample_shard"], planned["collect_run"], planned["metrics"]) == (1, 1, 1)
    (read.results / shard).unlink()
    assert "Nothing to be done" in read.run(*TARGETS, "-n", overlay=TEMPORARY).stdout


def test_what_is_measured_again_is_sampled_again_alone(read):
    run = read.results / "digits-ddpm/ddim-10/uniform-n3-b2/seed-0"
    metrics = (run / "metrics.json").read_bytes()
    (run / "metrics.json").unlink()
    planned = jobs(read.run(*TARGETS, "-n", overlay=TEMPORARY).stdout)
    (run / "metrics.json").write_bytes(metrics)
    assert (planned["sample_shard"], planned["metrics"], planned["collect_run"]) == (2, 1, 1)


@pytest.mark.slow
def test_killed_and_run_again_samples_only_what_is_missing(fresh, finished):
    project = fresh()
    running = subprocess.Popen(
        project.command("table6", "--cores", "1", overlay=TEMPORARY),
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    # Two runs are measured, of the third one of the two shards is there.
    while not (len(list(project.results.rglob("metrics.json"))) == 2 and len(shards(project)) == 1):
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    left = shards(project)
    measured = {path: path.stat().st_mtime_ns for path in project.results.rglob("metrics.json")}
    again = project.run("table6", "--cores", "1", "-p", overlay=TEMPORARY)
    assert again.returncode == 0, again.stdout
    made = sampled(again.stdout)
    assert len(made) == len(set(made)) and 6 * 2 - 2 * 2 - len(left) <= len(made) <= 6 * 2 - 2 * 2
    assert {path: path.stat().st_mtime_ns for path in measured} == measured
    assert shards(project) == []
    pd.testing.assert_frame_equal(untimed(project, "table06"), untimed(finished, "table06"), check_exact=True)


@pytest.mark.slow
def test_a_search_samples_nothing_twice(fresh):
    """Its first shards are read again when the next round is known, while those of other runs go at once."""
    project = fresh()
    overlay = {**SEARCH, **TEMPORARY}
    with Watch(project.results) as watch:
        done = project.run("table9", "table2", "--cores", "1", "-p", overlay=overlay)
    assert done.returncode == 0, done.stdout
    made = sampled(done.stdout)
    searched = [path for path in made if "nonuniform" in path]
    assert len(made) == len(set(made)) and len(searched) == 3 + 2
    assert shards(project) == []
    assert watch.shards <= 3 + 2, "the first of three candidates, and one run"
    assert "Nothing to be done" in project.run("table9", "table2", "-n", overlay=overlay).stdout
    assert all((project.results / RUNS.format(center)).is_dir() for center in (24, 48, 72))


ROWS = [
    {"labels": {"prompts": "PartiPrompts", "method": f"N={n}"}, "runs": {"ours": {"interval": n}}} for n in (1, 5, 3)
]


@pytest.mark.slow
def test_a_row_that_is_added_samples_its_own_run_alone(fresh):
    """What it is compared with, image by image, stayed."""
    project = fresh()

    def overlay(rows: int) -> dict:
        few = {"samples": 4, "shard_size": 2, "batch_size": 2, "sampler": "plms-6-cfg3"}
        return {**TEMPORARY, "models": {"digits-sd": few}, "tables": {"table3": {"rows": ROWS[:rows]}}}

    table = "results/tiny/tables/table03.csv"
    assert project.run(table, "--cores", "1", overlay=overlay(2)).returncode == 0
    baseline = [f"digits-sd/plms-6-cfg3/full/seed-0/shards/{i:05d}.npz" for i in range(2)]
    assert shards(project) == baseline
    done = project.run(table, "--cores", "1", "-p", overlay=overlay(3))
    assert done.returncode == 0, done.stdout
    assert sorted(sampled(done.stdout)) == [
        f"results/tiny/digits-sd/plms-6-cfg3/uniform-n3-b1/seed-0/shards/{i:05d}.npz" for i in range(2)
    ]
    assert shards(project) == baseline
