"""Snakemake and its jobs on Slurm are killed again and again: the same command makes the rest, and the same table."""

import random
import time
from pathlib import Path

import pandas as pd
import pytest

from deepcache.results.audit import audit
from tests.slurm.conftest import PROFILE, adapted, start
from tests.workflow.project import untimed

pytestmark = pytest.mark.slurm

KILLS = 5
LIVING = ("RUNNING", "PENDING", "COMPLETING")


def living(cluster) -> set[str]:
    """Numbers of jobs that run or wait to."""
    return {job["JobId"] for job in cluster.jobs() if job["JobState"] in LIVING}


@pytest.fixture(scope="module")
def killed(cluster, tmp_path_factory):
    """A project in which five kills came before the end; `orphans`: jobs whose Snakemake was killed."""
    project, choice = adapted(cluster, tmp_path_factory.mktemp("killed")), random.Random(1)
    project.orphans, project.outputs = [], []
    for _ in range(KILLS):
        before = living(cluster)
        process = start(project, "table2", *PROFILE)
        deadline = time.monotonic() + 120
        while not (jobs := sorted(living(cluster) - before)):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(choice.uniform(0, 15))
        if choice.random() < 0.5:
            cluster.run("scancel", *jobs)
        process.kill()
        project.outputs.append(process.communicate()[0])
        project.orphans.append(living(cluster) - before)
    process = start(project, "table2", *PROFILE)
    project.outputs.append(process.communicate(timeout=500)[0])
    assert process.returncode == 0, project.outputs[-1]
    return project


def test_the_table_is_that_of_a_local_run(killed, local):
    pd.testing.assert_frame_equal(untimed(killed, "table02"), untimed(local, "table02"), check_exact=True)


def test_the_audit_finds_nothing(killed, monkeypatch):
    monkeypatch.chdir(killed.folder)
    assert audit(Path("results/tiny"), killed.folder).findings == []
    assert list(killed.results.rglob(".*partial*")) == []


def test_jobs_whose_snakemake_was_killed_are_cancelled_by_the_next(killed, cluster):
    orphans = set().union(*killed.orphans)
    assert orphans, "some were left"
    states = {job["JobState"] for job in cluster.jobs() if job["JobId"] in orphans}
    assert states <= {"CANCELLED", "COMPLETED", "FAILED"}
    assert "CANCELLED" in states
