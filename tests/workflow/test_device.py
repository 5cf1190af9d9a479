"""Which device jobs are told to compute on."""

import re

import pytest

from tests.workflow.absent_gpus import machine
from tests.workflow.project import Project, jobs

ASKED = ("--cores", "1", "--resources", "gpu=1", "-n", "-p", "--workflow-profile", "none")
ON_THE_CPU = "--resources gpu: every job runs on the CPU, for "


@pytest.fixture(scope="module")
def with_gpu(tmp_path_factory) -> dict[str, str]:
    """The environment of a machine with a GPU."""
    return machine(tmp_path_factory.mktemp("driver"), 1)


@pytest.fixture
def project(fresh, with_gpu) -> Project:
    project = fresh()
    project.environment = with_gpu
    return project


def devices(output: str) -> set[tuple[str, str]]:
    """GPUs and device of the jobs that are planned."""
    asked = re.findall(r"resources: .*\bgpu=(\d)", output)
    told = re.findall(r"--device (\S+)", output)
    assert len(asked) == len(told) > 3
    return set(zip(asked, told, strict=True))


def test_auto_is_the_gpu_where_there_is_one(project):
    planned = project.run("all", "latency", *ASKED, suite="config")
    assert planned.returncode == 0, planned.stdout
    assert devices(planned.stdout) == {("1", "cuda")}
    assert ON_THE_CPU not in planned.stdout


def test_auto_without_a_gpu_is_the_cpu_and_says_so_where_one_was_counted_on(project):
    project.environment = {**project.environment, "LD_LIBRARY_PATH": "/nowhere"}
    planned = project.run("table2", *ASKED, suite="config").stdout
    assert devices(planned) == {("0", "cpu")}
    assert planned.count(ON_THE_CPU) == 1 and f"{ON_THE_CPU}no CUDA device is found\n" in planned
    unasked = [word for word in ASKED if word not in ("--resources", "gpu=1")]
    assert ON_THE_CPU not in project.run("table2", *unasked, suite="config").stdout


def test_the_config_has_the_last_word_and_says_so(project):
    planned = project.run("table2", *ASKED, overlay={"device": "cpu"}, suite="config").stdout
    assert devices(planned) == {("0", "cpu")}
    assert planned.count(f"{ON_THE_CPU}the config says device: cpu\n") == 1


def test_results_stay_valid_on_a_machine_with_another_device(finished, with_gpu):
    """Naming another device in the config makes them anew."""
    before, finished.environment = finished.environment, with_gpu
    try:
        moved = finished.run("table2", "table6", *ASKED).stdout
        named = finished.run("table2", *ASKED, overlay={"device": "cuda"}).stdout
    finally:
        finished.environment = before
    assert "Nothing to be done" in moved
    assert devices(named) == {("1", "cuda")} and jobs(named)["sample_shard"] > 1
