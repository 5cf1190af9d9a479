"""The workflow runs from any folder, as a module of another one, and where the workflow catalogue looks for it."""

import shutil

import pandas as pd
import pytest
import yaml

from tests.workflow.project import ROOT, TINY, snakemake

TARGET = "results/tiny/tables/table06.csv"
SUITE = {"extends": "config/config.yaml", **TINY, "beyond": None}
OTHER = """
configfile: "suite.yaml"


module deepcache:
    snakefile:
        "{snakefile}"
    config:
        config


use rule * from deepcache


rule mine:
    default_target: True
    input:
        rules.write_table6.output.csv,
    output:
        "copied.csv",
    shell:
        "cp {{input}} {{output}}"
"""


@pytest.fixture
def elsewhere(tmp_path):
    """A folder that holds a suite and nothing of the project."""
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(SUITE), encoding="utf-8")
    return tmp_path


@pytest.fixture(scope="module")
def reference(finished) -> pd.DataFrame:
    return pd.read_csv(finished.folder / TARGET)


def same(path, reference: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(pd.read_csv(path), reference)


def test_in_another_folder(finished, elsewhere, reference):
    options = ("--directory", str(elsewhere), "--configfile", "suite.yaml")
    done = snakemake(elsewhere, "-s", str(finished.folder / "Snakefile"), TARGET, *options)
    assert done.returncode == 0, done.stdout
    same(elsewhere / TARGET, reference)
    again = snakemake(elsewhere, "-s", str(finished.folder / "workflow/Snakefile"), TARGET, *options)
    assert "Nothing to be done" in again.stdout


def test_as_a_module(finished, elsewhere, reference):
    snakefile = finished.folder / "workflow/Snakefile"
    (elsewhere / "Snakefile").write_text(OTHER.format(snakefile=snakefile), encoding="utf-8")
    # What its samples are made from is there already: modules start no server that imports torch once.
    shutil.copytree(finished.results, elsewhere / "results/tiny")
    (elsewhere / TARGET).unlink()
    done = snakemake(elsewhere, "--rerun-triggers", "mtime")
    assert done.returncode == 0, done.stdout
    same(elsewhere / "copied.csv", reference)
    assert list((elsewhere / "results/tiny/logs/write_table6.log").parent.glob("write_table6.log"))


def test_the_default_suite_is_the_projects(elsewhere):
    planned = snakemake(elsewhere, "-s", str(ROOT / "Snakefile"), "table2", "-n")
    assert planned.returncode == 0, planned.stdout
    assert "write_table2" in planned.stdout


def test_the_estimate_finds_the_projects_checkpoints(elsewhere):
    done = snakemake(elsewhere, "-s", str(ROOT / "Snakefile"), "estimate", "--configfile", "suite.yaml")
    assert done.returncode == 0 and "| table6 " in done.stdout, done.stdout


def test_the_catalogue_finds_what_it_expects():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert usage["software-stack-deployment"]["conda"] and usage["report"]
    assert (ROOT / "workflow/Snakefile").is_file() and (ROOT / "config/README.md").is_file()
