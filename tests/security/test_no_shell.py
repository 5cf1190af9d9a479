"""Nothing in a config, a prompt or a path is run by a shell, or taken for a wildcard, a format or a formula."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.workflow.project import TINY, Project, snakemake

# Each word would leave a file named `made` in the folder of the run; braces, percent and dollar signs mean something to
# Snakemake, Python and matplotlib.
EVIL = "$(touch made) `touch made` ; touch made | touch made & touch made > made ' \" \\ {x} {{y}} %s $a_{$ * ? ~ !"
FOR_FORMAT = EVIL.replace("{", "{{").replace("}", "}}")
LINES = f"{EVIL}\ntouch made\n"
FOLDER = EVIL.replace("/", "").replace("\\", "")  # Snakemake takes a backslash for Windows'
WITHOUT_BRACES = re.sub("[{}]", "", FOLDER)  # Snakemake takes them for wildcards in paths that rules name


def suite(root: Path, place: Path) -> dict:
    """A tiny suite in which every text that a user chooses, and every path, holds the above."""
    weights = Path(WITHOUT_BRACES, "weights")
    for folder in (FOLDER, weights.parent):
        (place / folder).mkdir()
    (place / weights).symlink_to(root / "resources/checkpoints/digits-ddpm")
    prompts = place / FOLDER / "prompts.txt"
    prompts.write_text(f"{EVIL}\nseven\n", encoding="utf-8")
    return {
        "extends": "config/config.yaml",
        **TINY,
        "beyond": None,
        "checkpoints": {
            "digits-ddpm": {"source": "local", "folder": str(weights), "licence": LINES, "sha256": None},
        },
        "datasets": {"digits-prompts": {"source": "local", "folder": str(prompts), "licence": LINES}},
        "models": {**TINY["models"], "digits-sd": {"shard_size": 2}},
        "similarity": {"title": LINES, "images": 1, "layers": {"digits-sd": None, "digits-ldm": None}},
        "sample_grids": {
            "table2_samples": {"title": LINES, "images": 2, "label": f"{FOR_FORMAT} {{method}}"},
        },
        "diversity": {"title": LINES},
    }


@pytest.fixture
def place(tmp_path):
    """The folder of the run, and a project elsewhere, both with a name for the shell."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    return folder


def test_nothing_of_it_is_run(place, tmp_path):
    home = tmp_path / f"project {WITHOUT_BRACES}"  # Snakemake refuses braces there
    home.mkdir()
    project = Project(home)
    (place / "mine.yaml").write_text(yaml.safe_dump(suite(project.folder, place)), encoding="utf-8")
    results = Path("results/tiny")
    wanted = [
        results / "checkpoints/digits-ddpm.json",
        results / "datasets/digits-prompts.json",
        results / "figures/fig2.png",
        results / "figures/table2_samples.png",
        results / "digits-sd/plms-50-cfg7.5/full/seed-0/shards/00000.npz",
        results / "suite.json",
    ]
    options = ("--directory", str(place), "--configfile", "mine.yaml")
    done = snakemake(place, "-s", str(project.folder / "Snakefile"), *map(str, wanted), *options)
    assert done.returncode == 0, done.stdout
    assert all((place / path).is_file() for path in wanted)
    assert list(tmp_path.rglob("made*")) == []
    checkpoint = json.loads((place / wanted[0]).read_text(encoding="utf-8"))
    assert checkpoint["licence"] == LINES and checkpoint["folder"] == str(Path(WITHOUT_BRACES, "weights"))
    assert json.loads((place / wanted[-1]).read_text(encoding="utf-8"))["similarity"]["title"] == LINES
