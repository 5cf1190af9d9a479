"""`keep_samples: false`: shards go when they were read, come back only if asked for, and the tables are the same."""

import os
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
    """The shards that lie on the disk while something runs.

    Attributes:
        shards: how many there are at most.
        runs: of how many runs.
        made: each that came, as often as it came.
    """

    def __init__(self, project):
        self.shards, self.runs, self.made, self._over = 0, 0, [], threading.Event()
        self._thread = threading.Thread(target=self._watch, args=[project])

    def _watch(self, project) -> None:
        before = set(shards(project))
        while not self._over.wait(0.02):
            found = set(shards(project))
            self.made += sorted(found - before)
            self.shards = max(self.shards, len(found))
            self.runs = max(self.runs, len({path.rpartition("/")[0] for path in found}))
            before = found

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
    with Watch(project) as project.watch:
        done = project.run(*TARGETS, "--cores", "1", overlay=TEMPORARY)
    assert done.returncode == 0, done.stdout
    return project


def shards(project) -> list[str]:
    return sorted(str(path.relative_to(project.results)) for path in project.results.rglob("shards/[0-9]*.npz"))


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
    run = read.results / "digits-ddpm/ddim-10/uniform-n5-b2/seed-0"
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
    with Watch(project) as watch:
        again = project.run("table6", "--cores", "1", overlay=TEMPORARY)
    assert again.returncode == 0, again.stdout
    # What was there is used; the one that was being written when Snakemake was killed may be counted among these.
    assert len(watch.made) == len(set(watch.made)) and len(watch.made) in (6 * 2 - 2 * 2 - 1, 6 * 2 - 2 * 2)
    assert len(left) == 1
    assert {path: path.stat().st_mtime_ns for path in measured} == measured
    assert shards(project) == []
    pd.testing.assert_frame_equal(untimed(project, "table06"), untimed(finished, "table06"), check_exact=True)


@pytest.mark.slow
def test_a_search_samples_nothing_twice(fresh):
    """Its first shards are read again when the next round is known, while those of other runs go at once."""
    project = fresh()
    overlay = {**SEARCH, "keep_samples": False}
    with Watch(project) as watch:
        done = project.run("table9", "table6", "--cores", "1", overlay=overlay)
    assert done.returncode == 0, done.stdout
    assert len(watch.made) == len(set(watch.made))
    assert len([path for path in watch.made if "nonuniform" in path]) == 3 + 2
    assert shards(project) == []
    assert watch.shards <= 3 + 2, "the first of three candidates, and one run"
    assert "Nothing to be done" in project.run("table9", "table6", "-n", overlay=overlay).stdout
    assert all((project.results / RUNS.format(center)).is_dir() for center in (24, 48, 72))


ROWS = [
    {"labels": {"prompts": "PartiPrompts", "method": method}, "runs": {"ours": {"interval": interval}}, "beyond": True}
    for interval, method in ((1, "PLMS - 50 steps"), (5, "DeepCache N=5"), (3, "DeepCache N=3"))
]


@pytest.mark.slow
def test_a_row_that_is_added_samples_its_own_run_alone(fresh):
    """What it is compared with, image by image, stayed."""
    project = fresh()

    def overlay(rows: int) -> dict:
        few = {"samples": 12, "shard_size": 6, "batch_size": 6}
        return {"keep_samples": False, "models": {"digits-sd": few}, "tables": {"table3": {"rows": ROWS[:rows]}}}

    table = "results/tiny/tables/table03.csv"
    assert project.run(table, "--cores", "1", overlay=overlay(2)).returncode == 0
    baseline = [f"digits-sd/plms-50-cfg7.5/full/seed-0/shards/{i:05d}.npz" for i in range(2)]
    assert shards(project) == baseline
    with Watch(project) as watch:
        done = project.run(table, "--cores", "1", overlay=overlay(3))
    assert done.returncode == 0, done.stdout
    assert watch.made == [f"digits-sd/plms-50-cfg7.5/uniform-n3-b1/seed-0/shards/{i:05d}.npz" for i in range(2)]
    assert shards(project) == baseline
