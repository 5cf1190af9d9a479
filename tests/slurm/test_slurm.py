"""The workflow with the Slurm profile, in a real Slurm."""

import re

import pandas as pd
import pytest

from deepcache.gpus import JOBS_PER_GPU
from tests.slurm.cluster import PARTITION
from tests.slurm.conftest import name
from tests.workflow.project import untimed

pytestmark = pytest.mark.slurm

SAMPLES = "digits-ddpm/ddim-10/{}/seed-0/{}"
# What the first run did not make.
REDONE = {
    "sample_shard": ["CANCELLED", "COMPLETED"],
    "collect_run": ["COMPLETED"],
    "metrics": ["CANCELLED", "COMPLETED"],
    "paired": ["COMPLETED"],
}


def test_a_cancelled_job_fails_alone(project, cancelled):
    assert cancelled.run.status != 0
    message = r"^error: (\w+): (\S+) not made; see .*\.snakemake/slurm_logs/rule_sample_shard$"
    named = re.findall(message, cancelled.run.output, re.M)
    assert named == [("sample_shard", f"results/tiny/{SAMPLES.format('uniform-n2-b2', 'shards/00000.npz')}")]
    assert [job["JobState"] for job in cancelled.run.of("sample_shard", "uniform-n2")] == ["CANCELLED"]
    assert not (project.results / SAMPLES.format("uniform-n2-b2", "shards/00000.npz")).exists()
    assert (project.results / SAMPLES.format("full", "run.json")).exists(), "the others went on"
    assert not [path for path in cancelled.files if "partial" in path.name]


def test_a_program_runs_inside_its_job(cancelled):
    assert cancelled.program["SLURM_JOB_ID"] == cancelled.job
    assert cancelled.program["CUDA_VISIBLE_DEVICES"] in ("0", "1"), "the GPU that Slurm gave it"
    assert cancelled.program[JOBS_PER_GPU] == "0", "and no other"
    assert "DEEPCACHE_PRELOADED" not in cancelled.program, "no server of the machine it was submitted from"
    assert cancelled.ended, "cancelling the job ends the program"


def test_running_again_makes_what_is_missing_and_nothing_else(project, cancelled, finished):
    assert finished.status == 0, finished.output
    results = [path for path in cancelled.files if path.suffix in (".npz", ".json")]
    assert len(results) >= 3
    assert all(path.stat().st_mtime_ns == cancelled.files[path] for path in results)
    assert not finished.of("sample_shard", "full") and not finished.of("collect_run", "full")
    for rule, states in REDONE.items():
        again = cancelled.run.of(rule, "uniform-n2") + finished.of(rule, "uniform-n2")
        assert [job["JobState"] for job in again] == states, rule


def test_the_table_is_that_of_a_local_run(project, finished, local):
    pd.testing.assert_frame_equal(untimed(project, "table02"), untimed(local, "table02"))
    measured = pd.read_csv(project.results / "tables/table02.csv").set_index("method").loc[["DDPM*", "N=2"]]
    assert (measured[["throughput", "speed"]] > 0).all(axis=None)


def test_slurm_ran_every_job_with_what_its_rule_asks_for(cancelled, finished):
    jobs = cancelled.run.jobs + finished.jobs
    steps = re.findall(r"^(\d+) of \1 jobs done", finished.output, flags=re.M)[-1]
    # The target itself and the suite's settings are no jobs of Slurm's; one was cancelled and tried again.
    assert len(finished.jobs) == int(steps) - 2 + 1
    assert {job["Partition"] for job in jobs} == {PARTITION}
    assert {job["Account"] for job in jobs} == {"(null)"}
    on_gpu = {name(job) for job in jobs if job.get("TresPerJob") == "gres:gpu:1"}
    assert on_gpu == {"sample_shard", "metrics", "time_models", "reference_statistics"}
    assert {job["MinMemoryNode"] for job in finished.of("metrics")} == {"16000M"}
    assert {job["TimeLimit"] for job in finished.of("metrics")} == {"04:00:00"}
    assert {job["TimeLimit"] for job in finished.of("write_table2")} == {"01:00:00"}, "the profile's, for it has none"


def test_time_is_measured_on_a_node_without_other_jobs(cancelled, finished):
    (timed,) = finished.of("time_models")
    assert (timed["JobState"], timed["OverSubscribe"]) == ("COMPLETED", "NO")
    assert (timed["NumCPUs"], timed["CPUs/Task"]) == ("2", "1"), "the whole node, and the thread it times with"
    others = [job for job in finished.jobs if job is not timed and job["StartTime"] != "Unknown"]
    assert {job["OverSubscribe"] for job in others} == {"OK"}
    beside = [job for job in others if job["NodeList"] == timed["NodeList"]]
    assert all(job["EndTime"] <= timed["StartTime"] or job["StartTime"] >= timed["EndTime"] for job in beside)
