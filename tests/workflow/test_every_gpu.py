"""Jobs take every GPU: the real workflow on a machine whose GPUs are not there."""

import re
import tempfile

import pytest

from deepcache.gpus import JOBS_PER_GPU
from tests.workflow.absent_gpus import machine, sample_there
from tests.workflow.project import Project

RUN = "results/tiny/digits-ddpm/ddim-10/full/seed-0"  # two shards


@pytest.fixture
def project(fresh, tmp_path):
    """A function that makes a copy on a machine with so many GPUs, with locks of its own."""
    with tempfile.TemporaryDirectory(prefix="gpus") as temporary:

        def project(count: int) -> Project:
            made = fresh()
            made.environment = {**machine(tmp_path, count), "TMPDIR": temporary}
            return made

        yield project


def run(project: Project, gpus: int, **overlay) -> tuple[list[str], str]:
    """Make the run's two shards at a time; returns each one's number and GPU, and what was printed."""
    meeting = project.folder / "meeting"
    meeting.mkdir()
    sample_there(project, meeting, 2)
    done = project.run(f"{RUN}/run.json", "--cores", "2", "--resources", f"gpu={gpus}", overlay=overlay)
    assert done.returncode == 0, done.stdout
    assert (project.folder / RUN / "run.json").exists()
    return sorted(path.name for path in meeting.iterdir()), done.stdout


def test_two_jobs_run_at_a_time_on_two_gpus(project):
    (first, second), _ = run(project(2), gpus=2)
    assert {first, second} in ({"0-0", "1-1"}, {"0-1", "1-0"})


def test_two_jobs_run_at_a_time_on_one_gpu_where_the_config_says_so(project):
    met, printed = run(project(1), gpus=2, jobs_per_gpu=2)
    assert met == ["0-0", "1-0"]
    assert printed.count("--resources gpu=2: only 1 CUDA devices are found\n") == 1


@pytest.fixture(scope="module")
def told(fresh, tmp_path_factory):
    """What a dry run on three GPUs prints, and of it how many Snakemake counts and what jobs are told."""
    project = fresh()
    project.environment = machine(tmp_path_factory.mktemp("driver"), 3)
    snakefile = project.folder / "Snakefile"
    counted = '"gpu" in workflow.global_resources and workflow.global_resources["gpu"].value'
    at_exit = f'import atexit; atexit.register(lambda: print("told", {counted}, os.environ["DEEPCACHE_JOBS_PER_GPU"]))'
    snakefile.write_text(snakefile.read_text(encoding="utf-8") + f"\n{at_exit}\n", encoding="utf-8")

    def told(*arguments: str, **options) -> tuple[list[tuple[str, str]], str]:
        printed = project.run("table2", "--cores", "2", "-n", *arguments, **options).stdout
        return re.findall(r"^told (\S+) (\d+)$", printed, flags=re.M), printed

    told.project = project
    return told


@pytest.mark.parametrize(
    ("asked", "per_gpu", "places"),
    [(["--resources", "mem_mb=100000"], 2, 6), (["--resources", "gpu=2"], 4, 8), (["--resources", "gpu=5"], 1, 3)],
)
def test_as_many_jobs_run_as_there_are_places_on_gpus(asked, per_gpu, places, told):
    counted, printed = told(*asked, overlay={"jobs_per_gpu": per_gpu})
    assert counted == [(str(places), str(per_gpu))]
    assert printed.count("only 3 CUDA devices are found") == ("gpu=5" in asked)


def test_nothing_is_counted_where_somebody_else_hands_out_gpus_or_none_is_used(told, monkeypatch):
    overlay = {"jobs_per_gpu": 2}
    assert told(overlay={**overlay, "device": "cpu"})[0] == [("False", "2")]
    monkeypatch.setitem(told.project.environment, JOBS_PER_GPU, "0")
    assert told("--resources", "gpu=1", overlay=overlay)[0] == [("1", "0")]
