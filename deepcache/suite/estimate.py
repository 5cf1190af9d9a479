"""What a suite will cost before anything is started: images, MACs, hours, downloads, disk."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from deepcache.caching.schedules import average_macs
from deepcache.runs.run import Run
from deepcache.suite.layout import diversity_runs, layout_runs, table_layout

GIGA = 1e9


@dataclass(frozen=True)
class Shape:
    """What a checkpoint costs.

    Attributes:
        full_g: G MACs of a full pass of the U-Net for one image.
        shallow_g: the same for the shallow pass, by branch.
        image_bytes: of one sample, uint8.
        checkpoint_gb: of all parts in fp32.
    """

    full_g: float
    shallow_g: dict[int, float]
    image_bytes: int
    checkpoint_gb: float


def estimate(config: dict, count: Callable[[str, set[int]], Shape]) -> pd.DataFrame:
    """A row for each table and for the diversity, and one for all, in which what they share counts once.

    U-Net passes of the samples are counted (two for each step where there is guidance), not the first stage, metrics
    and timing.

    Args:
        config: a checked config.
        count: tells the Shape of a checkpoint in the config by its name, with the branches that the suite uses.

    Returns:
        Columns `table`, `runs`, `images`, `petamacs`, `hours`, `download_gb`, `disk_gb`.
    """
    runs = {name: layout_runs(table_layout(config, name)) for name in config["tables"]}
    runs["diversity"] = diversity_runs(config)
    together = list(dict.fromkeys(run for one in runs.values() for run in one))
    branches: dict[str, set[int]] = {}
    for run in together:
        used = branches.setdefault(config["models"][run.model]["checkpoint"], set())
        used |= set() if not run.method.caches else {run.method.branch}
    shape_of = functools.cache(lambda name: count(name, branches.get(name, set())))
    rows = [_row(config, shape_of, name, found) for name, found in [*runs.items(), ("all", together)]]
    return pd.DataFrame(rows)


def _row(config: dict, shape_of: Callable[[str], Shape], name: str, runs: list[Run]) -> dict:
    giga_macs = samples_gb = 0.0
    for run in runs:
        model = config["models"][run.model]
        shape, calls = shape_of(model["checkpoint"]), run.sampler.schedule_length("prompts" in model)
        shallow = shape.full_g if not run.method.caches else shape.shallow_g[run.method.branch]
        step = average_macs(shape.full_g, shallow, calls, range(run.method.num_full(calls)))
        passes = calls * (1 if run.sampler.guidance_scale == 1 else 2)
        giga_macs += model["samples"] * passes * step
        samples_gb += model["samples"] * shape.image_bytes / GIGA
    downloads, kept = _transfers(config, shape_of, {run.model for run in runs})
    return {
        "table": name,
        "runs": len(runs),
        "images": sum(config["models"][run.model]["samples"] for run in runs),
        "petamacs": giga_macs / 1e6,
        "hours": 2 * giga_macs / (config["estimate"]["tflops"] * 1e3) / 3600,  # a MAC is two operations
        "download_gb": downloads,
        "disk_gb": samples_gb + kept,
    }


def _transfers(config: dict, shape_of: Callable[[str], Shape], models: Iterable[str]) -> tuple[float, float]:
    """GB to download, and GB that checkpoints and datasets take on the disk (archives twice: they are unpacked)."""
    used = [config["models"][model] for model in models]
    references = [config["references"][one["reference"]] for one in used if "reference" in one]
    checkpoints = {one[key] for one in used for key in ("checkpoint", "clip", "perceptual") if key in one}
    checkpoints |= {one["weights"] for one in references}
    datasets = {one["dataset"] for one in references} | {one["prompts"] for one in used if "prompts" in one}
    downloads = kept = 0.0
    for name in checkpoints:
        entry = config["checkpoints"][name]
        if entry["source"] not in ("hub", "url", "random"):
            continue
        size = entry.get("download_gb") or shape_of(name).checkpoint_gb
        downloads += size if entry["source"] != "random" else 0
        kept += size * (2 if "convert" in entry else 1)
    for name in datasets:
        entry = config["datasets"][name]
        if entry["source"] == "url":
            downloads += entry.get("download_gb", 0)
            kept += entry.get("download_gb", 0) * (2 if entry.get("unpack") else 1)
    return downloads, kept
