"""What a change of the config decides is made again, also where a job failed in between."""

import re
import shutil

import pytest

from tests.workflow.project import ROOT, Project, jobs

TARGETS = ("table2", "table6")
MODEL = "digits-ddpm"


def test_no_parameter_is_made_from_input():
    """Snakemake compares no such parameter with the last run's: what the config says in it would redo nothing."""
    for path in (ROOT / "Snakefile", *(ROOT / "rules").rglob("*.smk")):
        functions = re.findall(r"(?:def \w+\(|lambda )([\w, ]*)", path.read_text(encoding="utf-8"))
        taken = {name.strip() for arguments in functions for name in arguments.split(",")}
        assert "input" not in taken, path


@pytest.mark.parametrize(
    ("overlay", "made", "kept"),
    [
        ({"models": {MODEL: {"precision": "bfloat16"}}}, {"sample_shard", "metrics", "write_table2"}, {"dataset"}),
        ({"sample_grids": {"table2_samples": {"title": "Other"}}}, {"sample_grid"}, {"sample_shard", "write_table2"}),
        ({"sample_grids": {"table2_samples": {"images": 3}}}, {"sample_grid"}, {"sample_shard", "write_table2"}),
        ({"references": {"digits-16": {"crop": "center"}}}, {"reference_statistics", "metrics"}, {"sample_shard"}),
    ],
)
def test_a_setting_redoes_what_it_decides(finished, overlay, made, kept):
    planned = jobs(finished.run(*TARGETS, "-n", overlay=overlay).stdout)
    assert made <= planned.keys()
    assert not kept & planned.keys()


@pytest.fixture
def copied(finished, fresh) -> Project:
    """A copy of the finished project that may be spoilt, with what Snakemake knows of it."""
    project = fresh()
    for part in (".snakemake", "results"):
        shutil.copytree(finished.folder / part, project.folder / part)
    return project


def test_what_failed_is_tried_again(copied):
    """The job's old output is gone, the tables of before are there: the same command must not be content with them."""
    assert "Nothing to be done" in copied.run(*TARGETS, "-n").stdout
    manifest = copied.results / f"checkpoints/{MODEL}.json"
    before = (copied.results / "tables/table02.csv").read_bytes()
    file = "unet/diffusion_pytorch_model.safetensors"
    wrong = {"checkpoints": {MODEL: {"sha256": {file: "0" * 64}}}}
    for _ in range(2):
        failed = copied.run(*TARGETS, "--cores", "1", overlay=wrong)
        assert failed.returncode == 1, failed.stdout
        assert f"error: checkpoint_in_place: {manifest.relative_to(copied.folder)} not made" in failed.stdout
        assert not manifest.exists()
    # With the config of before the tables are right, and the file that is lost is made again by its name, alone.
    unneeded = {"checkpoint_in_place", "sample_shard", "write_table2"}
    assert not unneeded & jobs(copied.run(*TARGETS, "-n").stdout).keys()
    made = copied.run(str(manifest.relative_to(copied.folder)), "--cores", "1")
    assert made.returncode == 0, made.stdout
    assert manifest.exists()
    assert not unneeded & jobs(copied.run(*TARGETS, "-n").stdout).keys()
    assert (copied.results / "tables/table02.csv").read_bytes() == before
