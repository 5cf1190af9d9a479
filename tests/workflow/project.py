"""A copy of the project in which the workflow runs on a handful of images, and what its runs left."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

from tests.suites import read_suite

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "rules", "workflow", "deepcache", "config", "resources", "envs", "profiles")
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
# Columns that a clock decides.
TIMED = {"throughput", "speed", "throughput_delta", "speed_delta"}
BASE = read_suite()


def rows_up_to(interval: int, table: str) -> list[dict]:
    """Rows of a table of the default suite, for samplers with fewer steps than its largest N."""
    return [row for row in BASE["tables"][table]["rows"] if row["labels"].get("interval", 1) <= interval]


TINY = {
    "suite": "tiny",
    "calibration": {"recorded": 2, "screened": 1, "sampled": 2},
    "beyond": {"intervals": [2]},
    "tables": {"table2": {"rows": rows_up_to(10, "table2")}},
    "models": {"digits-ddpm": {"samples": 8, "shard_size": 4, "batch_size": 4, "sampler": "ddim-10"}},
    "timing": {"batch_size": 1, "repeats": 1},
    "sample_grids": {"table2_samples": {"images": 4}},
}

# digits-ddpm with ten steps on four images, for the targets that are not part of `all`.
SMALL = {
    "extends": "config/config.yaml",
    "suite": "small",
    "models": {"digits-ddpm": {"samples": 4, "shard_size": 4, "batch_size": 4, "sampler": "ddim-10"}},
    "timing": {"batch_size": 1, "repeats": 1},
    "tables": TINY["tables"],
    "sample_grids": TINY["sample_grids"],
}


class Project:
    """The copy, and Snakemake in it; `environment` in place of this process's."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None):
        self.folder = folder
        self.environment = environment
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, folder / part)
        (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY), encoding="utf-8")
        self.results = folder / "results/tiny"
        self.screen = ""

    def command(self, *arguments: str, overlay: dict | None = None, suite: str | None = None) -> list[str]:
        """Snakemake's command line; `overlay` is merged over the tiny config, or over another suite's."""
        files = ["config/config.yaml", "tiny.yaml"] if suite is None else [f"config/{suite}.yaml"]
        if overlay:
            (self.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
            files.append("overlay.yaml")
        return [SNAKEMAKE, *arguments, "--configfile", *files]

    def run(self, *arguments: str, timeout: int = 600, **options) -> subprocess.CompletedProcess:
        """Run Snakemake (see `command`) to its end; stdout and stderr come back together as stdout."""
        return _run(self.command(*arguments, **options), self.folder, self.environment, timeout)


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder that is no project."""
    return _run([SNAKEMAKE, "--cores", "1", *arguments], folder, None)


def _run(
    command: list[str], folder: Path, environment: dict[str, str] | None, timeout: int = 600
) -> subprocess.CompletedProcess:
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def jobs(output: str) -> dict[str, int]:
    """Number of jobs by rule, out of a dry run's table."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", output, flags=re.M) if rule != "total"}


def untimed(project, name: str) -> pd.DataFrame:
    """A table without the columns that a clock decides."""
    table = pd.read_csv(project.results / f"tables/{name}.csv")
    return table.drop(columns=[column for column in table if column in TIMED])
