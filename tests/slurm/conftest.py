"""A Slurm of two nodes, and runs of the workflow in it and beside it."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from tests.slurm.cluster import PARTITION, Cluster, missing
from tests.workflow.project import Project, rows_up_to

# Table 2 with one cached row and one shard each. "auto" asks for a GPU, of which Slurm has only the name.
OVERLAY = {
    "device": "auto",
    "tables": {"table2": {"rows": rows_up_to(2, "table2")}},
    "models": {"digits-ddpm": {"samples": 4}},
}
RUN = "results/tiny/digits-ddpm/ddim-10"
PROFILE = ("--profile", "profiles/slurm")


@dataclass
class Run:
    """One call of Snakemake: its exit status and output, and the jobs that Slurm has had of it, by the rule's name."""

    status: int
    output: str
    jobs: list[dict[str, str]]

    def of(self, rule: str, wildcards: str = "") -> list[dict[str, str]]:
        """The jobs of a rule, in the order of their submission."""
        return [job for job in self.jobs if is_of(job, rule, wildcards)]


@dataclass
class Cancelled:
    """A run of which one job was cancelled: its number, its program's environment, the files left, with their times."""

    run: Run
    job: str
    program: dict[str, str]
    ended: bool
    files: dict[Path, int]


def name(job: dict[str, str]) -> str:
    """The rule of one of Slurm's jobs."""
    return job["Comment"].removeprefix("rule_").partition("_wildcards_")[0]


def is_of(job: dict[str, str], rule: str, wildcards: str = "") -> bool:
    """Whether one of Slurm's jobs is of a rule."""
    return name(job) == rule and wildcards in job["Comment"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    if missing():
        pytest.skip(f"Slurm is not installed here: {', '.join(missing())} not found")
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="session")
def local(tmp_path_factory) -> Project:
    """A copy in which Table 2 was made without Slurm."""
    project = Project(tmp_path_factory.mktemp("local"))
    done = project.run("table2", "--cores", "2", overlay=OVERLAY)
    assert done.returncode == 0, done.stdout
    return project


@pytest.fixture(scope="session")
def project(cluster, tmp_path_factory) -> Project:
    """A copy whose profile was adapted to the cluster as docs/cluster.md says."""
    return adapted(cluster, tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def cancelled(cluster, project) -> Cancelled:
    """A first run, without retries, up to the samples; one sampling job was cancelled while its program ran."""
    targets = [f"{RUN}/{method}/seed-0/run.json" for method in ("full", "uniform-n2-b2")]
    before = {job["JobId"] for job in cluster.jobs()}
    process = start(project, *targets, *PROFILE, "--retries", "0")
    job = wait_for(lambda: running_job(cluster, "sample_shard", "uniform-n2"), process)
    program = wait_for(lambda: find_program(project, "uniform-n2"), process)
    environment = program.environ()
    cluster.run("scancel", job)
    try:
        program.wait(timeout=30)
        ended = True
    except psutil.TimeoutExpired:
        ended = False
    output = process.communicate(timeout=300)[0]
    files = {path: path.stat().st_mtime_ns for path in project.results.rglob("*") if path.is_file()}
    jobs = [job for job in cluster.jobs() if job["JobId"] not in before]
    return Cancelled(Run(process.returncode, output, jobs), job, environment, ended, files)


@pytest.fixture(scope="session")
def finished(cluster, project, cancelled) -> Run:
    """A second run, to the table; a job was cancelled again, which the profile's retries make good."""
    before = {job["JobId"] for job in cluster.jobs()}
    process = start(project, "table2", *PROFILE)
    cluster.run("scancel", wait_for(lambda: running_job(cluster, "metrics", "uniform-n2"), process))
    output = process.communicate(timeout=400)[0]
    return Run(process.returncode, output, [job for job in cluster.jobs() if job["JobId"] not in before])


def adapted(cluster: Cluster, folder: Path) -> Project:
    """A copy of the project in a folder, with a profile for the cluster."""
    project = Project(folder, cluster.environment)
    path = project.folder / "profiles/slurm/config.yaml"
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    profile["default-resources"]["slurm_partition"] = PARTITION
    profile["slurm-status-command"] = "squeue"
    # Not part of adapting it: jobs of seconds are looked at earlier.
    profile["slurm-init-seconds-before-status-checks"] = 10
    path.write_text(yaml.safe_dump(profile), encoding="utf-8")
    return project


def start(project: Project, *arguments: str, overlay: dict = OVERLAY) -> subprocess.Popen:
    """Start Snakemake; what it prints comes back from `communicate`."""
    return subprocess.Popen(
        project.command(*arguments, overlay=overlay),
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def running_job(cluster: Cluster, rule: str, wildcards: str) -> str | None:
    """The number of a job that runs; None where there is none at the moment."""
    running = (job["JobId"] for job in cluster.jobs() if job["JobState"] == "RUNNING" and is_of(job, rule, wildcards))
    return next(running, None)


def find_program(project: Project, argument: str) -> psutil.Process | None:
    """The program that samples with a method; None where there is none at the moment."""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = process.info["cmdline"] or []
        here = any(word.endswith("/scripts/sample.py") for word in line[:3]) and process.info["cwd"] == str(
            project.folder
        )
        if here and any(argument in word for word in line):
            return process
    return None


def wait_for(find, process: subprocess.Popen, seconds: float = 200):
    """What `find` finds, as soon as it does, while Snakemake runs."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"it never came:\n{process.communicate()[0]}")
        time.sleep(0.1)
    return found
