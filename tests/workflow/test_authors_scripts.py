"""Every command that docs/reproduce.md names for one of the authors' scripts runs, on the digits models."""

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reproduce.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Coming from the authors' scripts")[2].partition("\n## ")[0]
SCRIPTS = re.findall(r"^\| `(\S+)` \|", SECTION, flags=re.M)
# What the commands take from a finished suite, of a few images.
FEW = {
    "suite": "digits",
    "models": {"digits-sd": {"samples": 12, "shard_size": 12, "batch_size": 12}},
    "sample_grids": {name: {"images": 2} for name in ("fig5", "fig7")},
    "diversity": {"prompts": 2},
}
RUNS = [
    f"results/digits/digits-sd/plms-50-cfg7.5/{method}/seed-{seed}/clip_score.json"
    for method, seed in (("full", 0), ("uniform-n5-b1", 0), ("uniform-n5-b1", 1))
]
MANIFESTS = [f"results/digits/checkpoints/digits-{name}.json" for name in ("ddpm", "ldm", "classifier")]


def commands() -> dict[str, list[str]]:
    """The commands by the script whose work they do."""
    lines = SECTION.partition("<!-- the commands -->")[2].replace("\\\n", " ").splitlines()
    found: dict[str, list[str]] = {}
    for line in map(str.strip, filter(None, lines)):
        if line.startswith("# "):
            last = found.setdefault(line.split()[1], [])
        else:
            last.append(" ".join(line.split()))
    return found


@pytest.fixture(scope="module")
def project(fresh):
    project = fresh()
    done = project.run(*RUNS, *MANIFESTS, "--cores", "2", overlay=FEW)
    assert done.returncode == 0, done.stdout
    return project


def test_every_script_of_the_table_has_a_command():
    assert len(SCRIPTS) == 13
    assert list(commands()) == [script for script in SCRIPTS if script in commands()]
    assert set(commands()) == set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_its_commands_run(script, project, tmp_path_factory):
    # One folder for all, as some commands take what earlier ones made.
    place = tmp_path_factory.getbasetemp() / "steps"
    place.mkdir(exist_ok=True)
    for command in commands()[script]:
        if command.startswith("snakemake"):
            command += " --dry-run"  # these make whole tables; `make demo` runs them
        command = command.replace("/tmp/steps", shlex.quote(str(place)))
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        environment = {"PATH": path, "PYTHONPATH": str(project.folder)}  # the copy's modules, not the installed ones
        done = subprocess.run(
            ["bash", "-c", command], cwd=project.folder, env=environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        words = shlex.split(command)
        for option, output in itertools.pairwise(words):
            assert option != "--output" or (project.folder / output).exists()


def test_every_target_of_the_table_is_one(project):
    column = [line.rstrip(" |").rpartition("|")[2] for line in SECTION.splitlines() if line.startswith("| `")]
    targets = {name for cell in column for name in re.findall(r"`(\w+)`", cell)}
    assert {"table2", "fig7", "ablation_schedulers", "summary"} <= targets
    done = project.run(*sorted(targets), "--dry-run", overlay=FEW)
    assert done.returncode == 0, done.stdout
