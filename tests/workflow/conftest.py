"""A copy of the project in which the workflow runs on a handful of images."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "rules", "workflow", "deepcache", "config", "resources", "envs", "profiles")
BASE = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def rows_up_to(interval: int, table: str) -> list[dict]:
    """Rows of a table of the default suite, for samplers with fewer steps than its largest N."""
    return [row for row in BASE["tables"][table]["rows"] if row["labels"].get("interval", 1) <= interval]


TINY = {
    "suite": "tiny",
    "calibration": {"recorded": 2, "screened": 1, "sampled": 2},
    "beyond": {"intervals": [2]},
    "tables": {"table2": {"rows": rows_up_to(10, "table2")}},
    "models": {"digits-ddpm": {"samples": 8, "shard_size": 4, "batch_size": 4, "sampler": "ddim-10"}},
    "latency": {"batch_size": 1, "repeats": 1},
    "sample_grids": {"table2_samples": {"images": 4}},
}


class Project:
    """The copy, and Snakemake in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / part)
        (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
        self.results = folder / "results/tiny"

    def command(self, *arguments: str, overlay: dict | None = None, suite: str | None = None) -> list[str]:
        """Snakemake's command line; `overlay` is merged over the tiny config, or over another suite's."""
        files = ["config/config.yaml", "tiny.yaml"] if suite is None else [f"config/{suite}.yaml"]
        if overlay:
            (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
            files.append("overlay.yaml")
        return [str(Path(sys.executable).with_name("snakemake")), *arguments, "--configfile", *files]

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        """Run Snakemake (see `command`) to its end; stdout and stderr come back together as stdout."""
        command = self.command(*arguments, **options)
        return subprocess.run(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )


@pytest.fixture(scope="session")
def fresh(tmp_path_factory):
    """A function that makes a new copy."""
    return lambda: Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def finished(fresh) -> Project:
    """A copy in which Tables 2 and 6 have been made, with the command that the README names."""
    project = fresh()
    done = project.run("table2", "table6", "--cores", "1", "--resources", "gpu=1")
    assert done.returncode == 0, done.stdout
    return project
