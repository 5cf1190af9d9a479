"""What the Slurm profile asks for, without a Slurm; tests/slurm has one."""

import re

import pytest

TARGETS = ("all", "latency", "beyond", "budget")
CORES = 7  # a number of threads that no rule asks for


@pytest.fixture(scope="module")
def project(fresh):
    return fresh()


def planned(project, *arguments: str) -> dict[str, str]:
    """Threads and resources of each rule that the digits suite needs, as a dry run prints them."""
    done = project.run(*TARGETS, "-n", "--forceall", "--workflow-profile", "none", *arguments, suite="config")
    assert done.returncode == 0, done.stdout
    blocks = re.findall(r"^rule (\w+):\n((?: {4}.*\n)+)", done.stdout, flags=re.M)
    asked = r"^ {4}((?:threads|resources): .*)$"
    return {rule: ", ".join(re.findall(asked, block, flags=re.M)) for rule, block in blocks}


@pytest.fixture(scope="module")
def on_slurm(project) -> dict[str, str]:
    return planned(project, "--profile", "profiles/slurm")


def test_every_rule_is_planned(on_slurm):
    assert {"sample_shard", "time_models", "metrics", "macs", "write_table12", "write_beyond"} <= on_slurm.keys()
    for rule, asked in on_slurm.items():
        assert "slurm_partition=gpu" in asked and re.search(r"\bruntime=\d+", asked), rule
        assert "slurm_account" not in asked, "no account that a cluster may not have"


def test_jobs_that_have_the_machine_to_themselves_get_a_node_to_themselves(project, on_slurm):
    here = planned(project, "--cores", str(CORES))
    alone = {rule for rule, asked in here.items() if f"threads: {CORES}" in asked}
    assert {"time_models", "time_beyond", "time_architecture", "contest", "forecast_cost"} <= alone
    assert {rule for rule, asked in on_slurm.items() if "slurm_extra=--exclusive" in asked} == alone


def test_every_job_has_room_for_snakemake(on_slurm):
    """Beside the program two Snakemakes run in a job, of 130 MB each."""
    for rule, asked in on_slurm.items():
        assert int(re.search(r"\bmem_mb=(\d+)", asked)[1]) >= 1000, rule
