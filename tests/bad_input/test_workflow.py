"""What Snakemake itself is given: the line, before any job is planned, and nothing left."""

from pathlib import Path

import pytest

from tests.bad_input.conftest import below
from tests.conftest import ROOT
from tests.workflow.project import snakemake

EXTENDS = "extends: config/config.yaml\nsuite: mine\n"
# Last line of what Snakemake prints.
CASES = {
    "a checkpoint that is not there": (
        f"{EXTENDS}checkpoints: {{digits-ddpm: {{source: local, folder: nowhere, sha256: null}}}}",
        "config: checkpoints.digits-ddpm.folder: nowhere: no such file or folder",
    ),
    "a dataset that is not there": (
        f"{EXTENDS}datasets: {{digits: {{source: local, format: folder, folder: nowhere}}}}",
        "config: datasets.digits.folder: nowhere: no such file or folder",
    ),
    "a sampler that the model lacks": (
        f"{EXTENDS}models: {{digits-ddpm: {{sampler: euler-100}}}}",
        "config: models.digits-ddpm.sampler: sampler euler-100: an unconditional model has ddim-<steps>, "
        "ddim-<steps>-quad and dpmpp-<steps> only, without guidance",
    ),
    "a key twice": (
        f"{EXTENDS}suite: other\n",
        "mine.yaml cannot be read (line 3: suite is there twice: keep one of them)",
    ),
    "a circle": ("extends: mine.yaml", "extends itself, by way of "),
}


@pytest.mark.parametrize("name", CASES)
def test_snakemake_says_it_before_any_job(name, place):
    text, line = CASES[name]
    Path("mine.yaml").write_text(text, encoding="utf-8")
    before = below(place)
    done = snakemake(place, "-s", str(ROOT / "Snakefile"), "table2", "--configfile", "mine.yaml")
    said = [one for one in done.stdout.splitlines() if line in one]
    assert done.returncode == 1 and len(said) == 1 and "Traceback" not in done.stdout, done.stdout
    assert done.stdout.splitlines()[-1] == said[0]
    left = {path for path in below(place) if path not in before and ".snakemake" not in path}
    assert left == set(), "Snakemake's own notes apart"


def test_a_finished_part_needs_its_source_no_more(place):
    """The dataset's manifest is here, so that what was made of it can be looked at after the source has gone."""
    Path("mine.yaml").write_text(
        f"{EXTENDS}datasets: {{digits-prompts: {{source: local, folder: nowhere.txt}}}}", encoding="utf-8"
    )
    manifest = Path("results/mine/datasets/digits-prompts.json")
    command = ("-s", str(ROOT / "Snakefile"), str(manifest), "-n", "--configfile", "mine.yaml")
    assert "config: datasets.digits-prompts.folder: nowhere.txt: no such file" in snakemake(place, *command).stdout
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}", encoding="utf-8")
    done = snakemake(place, *command)
    assert done.returncode == 0 and "no such file" not in done.stdout, done.stdout
