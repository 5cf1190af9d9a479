"""The parts of `make gpu`: tests, the table of speed, two tables and a picture through Snakemake."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from deepcache.cost.speed_rounds import DRY_PLAN, GPU_PLAN, name_of, reached
from deepcache.errors import DeepCacheError
from deepcache.limits import run_within
from deepcache.models import efficientnet
from deepcache.package_weights import package_folder
from deepcache.results.latency import read_speed
from deepcache.results.parts import Part

LIMITS = (60, 150, 150)  # seconds: tests, speed, workflow
DRY_LIMITS = (60, 60, 120)  # of what takes a minute in all on two idle cores
DRAWING = 60  # seconds for the table's picture
# Of each suite one file below its results, what it is called, and what else is copied beside it. Table 5 of the paper's
# architectures with random weights has both families that are quick to make up: pixels, and latents by class.
TARGETS = {
    "digits": ("config/config.yaml", "tables/table02.csv", "digits Table 2", ".md"),
    "smoke": ("config/smoke.yaml", "tables/table05.csv", "smoke Table 5", ".md"),
    "emoji": ("config/emoji.yaml", "figures/real_emoji-sd.png", "emoji beside real ones", ".json"),
}
_DRY_NOTE = "A dry run: a few images, ten steps, on the CPU."
# In their place where nothing but the way is tried: the same tables with two rows each.
DRY_SUITES = {
    "digits": {
        "beyond": None,
        "models": {"digits-ddpm": {"samples": 4, "shard_size": 4, "batch_size": 4, "sampler": "ddim-10"}},
        "timing": {"batch_size": 1, "repeats": 1},
        "paired_resamples": 2,
        "sample_grids": {"table2_samples": {"images": 2}},
        "tables": {
            "table2": {
                "note": _DRY_NOTE,
                "rows": [
                    {"labels": {"method": "DDPM*", "interval": 1}, "runs": {"ours": {"interval": 1}}},
                    {"labels": {"method": "N=5", "interval": 5}, "runs": {"ours": {"interval": 5}}},
                ],
            }
        },
    },
    "smoke": {
        "models": {"ddpm-cifar10": {"samples": 2, "shard_size": 2, "batch_size": 2}},
        "tables": {
            "table5": {
                "note": _DRY_NOTE,
                "rows": [
                    {
                        "labels": {"model": "DDPM", "interval": 10},
                        "runs": {"hold": {"interval": 10}, "zeros": {"interval": 10, "reuse": "zeros"}},
                    }
                ],
            }
        },
    },
    "emoji": {
        "beyond": None,
        "models": {"emoji-sd": {"samples": 8, "shard_size": 8, "batch_size": 8}},
        "real_pictures": {"models": ["emoji-sd"], "images": 8},
    },
}


def gpu_parts(root: Path, folder: Path, limits: Sequence[float], cores: int, dry: bool) -> list[Part]:
    """The parts, the most important first.

    Args:
        root: the project.
        folder: where everything is to lie.
        limits: seconds of each part.
        cores: CPU cores that Snakemake may use.
        dry: on a CPU, and as little as shows that it works.
    """
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    tests, speed, workflow = limits
    return [
        _tests(root, folder, tests, environment, dry),
        _speed(root, folder, speed, environment, dry),
        _workflow(root, folder, workflow, environment, cores, dry),
    ]


def reachable_targets() -> dict[str, tuple[str, str, str, str]]:
    """TARGETS without the emoji where the network that judges them is not installed."""
    try:
        package_folder(efficientnet.PACKAGE)
    except DeepCacheError:
        return {suite: target for suite, target in TARGETS.items() if suite != "emoji"}
    return TARGETS


def gpu_tests(root: Path) -> list[Path]:
    """Files with tests of devices: collecting all others would take seconds of a lent GPU."""
    names = re.compile(r"mark\.gpu\b|\bDEVICES\b")
    return [
        path for path in sorted((root / "tests").rglob("test_*.py")) if names.search(path.read_text(encoding="utf-8"))
    ]


def _tests(root: Path, folder: Path, limit: float, environment: dict, dry: bool) -> Part:
    chosen = ["-k", "cpu", root / "tests/caching/test_devices.py"] if dry else ["-m", "gpu", *gpu_tests(root)]
    options = ["-vv", "--rootdir", root, "-c", root / "pyproject.toml", "-p", "no:cacheprovider"]
    log = folder / "tests.txt"
    last = re.compile(r"^=+ .*\d+ (passed|failed|skipped).* in [\d.]+s", flags=re.M)
    pieces = {"the last test": lambda: last.search(_text(log)) is not None}
    command = [sys.executable, "-m", "pytest", *options, *chosen]
    return Part("tests", [command], limit, log, pieces, environment=environment)


def _speed(root: Path, folder: Path, limit: float, environment: dict, dry: bool) -> Part:
    table, plan = folder / "speed.csv", DRY_PLAN if dry else GPU_PLAN
    scripts, log = root / "workflow/scripts", folder / "speed.txt"
    drawing = [sys.executable, scripts / "latency_table.py", "--measured", table, "--output", table]

    def there(piece) -> Callable[[], bool]:
        return lambda: table.exists() and reached(piece, read_speed([table]).to_dict("records"))

    def draw() -> None:
        if table.exists():
            run_within(drawing, DRAWING, log, environment)

    command = [sys.executable, scripts / "gpu_speed.py", "--output", table, *(["--dry"] if dry else [])]
    pieces = {name_of(piece): there(piece) for piece in plan.pieces()}
    drawn = {"the table in words and its picture": (folder / "speed.png").exists}
    return Part("speed", [command], limit, log, pieces | drawn, draw, environment)


def _workflow(root: Path, folder: Path, limit: float, environment: dict, cores: int, dry: bool) -> Part:
    work = folder / "work"
    work.mkdir(parents=True)
    targets = reachable_targets()
    configs = {suite: root / config for suite, (config, *_) in targets.items()}
    if dry:
        configs = {suite: _dry_suite(work, suite, config) for suite, config in configs.items()}
    # Ended at the limit, Snakemake leaves its lock behind.
    every = ["--cores", cores, "--nolock", "--resources", "gpu=1", "--config", f"device={'cpu' if dry else 'cuda'}"]
    start = [sys.executable, "-m", "snakemake", "--snakefile", root / "Snakefile", "--directory", work]
    # The files alone: target table2 would draw samples, too.
    files = {suite: f"results/{suite}/{file}" for suite, (_, file, *_) in targets.items()}
    commands = [[*start, files[suite], *every, "--configfile", config] for suite, config in configs.items()]

    def copy() -> None:
        for suite, (*_, beside) in targets.items():
            file = work / files[suite]
            for path in (file, file.with_suffix(beside)):
                if path.exists():
                    shutil.copy(path, folder / f"{suite}-{path.name}")

    pieces = {name: (work / files[suite]).exists for suite, (_, _, name, _) in targets.items()}
    return Part("workflow", commands, limit, folder / "workflow.txt", pieces, copy, environment)


def _dry_suite(work: Path, name: str, config: Path) -> Path:
    """Write the suite that stands in for another."""
    path = work / f"{name}.yaml"
    suite = {"extends": str(config), "suite": name, **DRY_SUITES[name]}
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return path


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
