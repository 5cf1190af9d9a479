"""What a suite will cost before anything is started: images, MACs, hours, downloads, disk."""

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from deepcache.caching.schedules import average_macs
from deepcache.runs.run import Run
from deepcache.suite.disk import feature_bytes, in_flight_bytes, kept_bytes
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


def estimate(
    config: dict, count: Callable[[str, set[int]], Shape], feature_width: Callable[[str], int]
) -> pd.DataFrame:
    """A row for each table and for the diversity, and one for all, in which what they share counts once.

    U-Net passes of the samples are counted (two for each step where there is guidance), not the first stage, metrics
    and timing. Which candidates of a search get all images is not known before: those are assumed that no row of a
    table needs, so no more than this is sampled.

    Args:
        config: a checked config.
        count: tells the Shape of a checkpoint in the config by its name, with the branches that the suite uses.
        feature_width: numbers that describe an image, by the kind of the extractor that measures FID.

    Returns:
        Columns `table`, `runs`, `images`, `petamacs`, `hours`, `download_gb`, and on the disk `inputs_gb` (checkpoints
        and datasets) beside `kept_gb` (all samples) or `temporary_gb` (see deepcache.suite.disk).
    """
    layouts = {name: table_layout(config, name) for name in config["tables"]}
    diversity = diversity_runs(config)
    needs = {name: ([layout], []) for name, layout in layouts.items()}
    needs |= {"diversity": ([], diversity), "all": (list(layouts.values()), diversity)}
    parts = {name: sampled_images(config, *need) for name, need in needs.items()}
    branches: dict[str, set[int]] = {}
    for run in parts["all"]:
        used = branches.setdefault(config["models"][run.model]["checkpoint"], set())
        used |= set() if not run.method.caches else {run.method.branch}
    shape_of = functools.cache(lambda name: count(name, branches.get(name, set())))

    def image_bytes(run: Run) -> int:
        return shape_of(config["models"][run.model]["checkpoint"]).image_bytes

    rows = []
    for name, images in parts.items():
        disk = _disk(config, *needs[name], images, image_bytes, feature_width)
        rows.append(_costs(config, shape_of, name, images) | disk)
    return pd.DataFrame(rows)


def sampled_images(config: dict, layouts: list[dict], others: Iterable[Run] = ()) -> dict[Run, int]:
    """How many images of each run are sampled, at most.

    Args:
        config: a checked config.
        layouts: of the tables, see deepcache.suite.layout.table_layout; what they share counts once.
        others: runs of which all images are sampled.
    """
    rows = [row for layout in layouts for row in layout["rows"]]
    screened = [row for row in rows if row["screenings"]]
    whole = [{**layout, "rows": [row for row in layout["rows"] if not row["screenings"]]} for layout in layouts]
    samples = {name: model["samples"] for name, model in config["models"].items()}
    found = {run: samples[run.model] for run in [*(run for one in whole for run in layout_runs(one)), *others]}
    needed = set(found)
    for row in screened:
        # All candidates of a search have as many full steps, so they cost the same.
        runs = sorted(map(Run.parse, row["candidates"]), key=needed.__contains__)
        size, all_images = config["models"][runs[0].model]["shard_size"], samples[runs[0].model]
        left = len(runs)
        for one in [*row["screenings"], {"images": all_images, "keep": 0}]:
            images = min(all_images, size * math.ceil(one["images"] / size))
            found |= {run: max(images, found.get(run, 0)) for run in runs[:left]}
            left = one["keep"]
    return found


def rate(config: dict, checkpoint: str) -> float:
    """What the device sustains on a checkpoint, in TFLOP/s."""
    rates = config["estimate"]["tflops"]
    return rates.get(checkpoint, rates["default"]) if isinstance(rates, dict) else rates


def rates_in_words(config: dict) -> str:
    """The rates of `estimate.tflops`: `50`, or `216 (sd-v1-5), else 50`."""
    rates = config["estimate"]["tflops"]
    if not isinstance(rates, dict):
        return f"{rates:g}"
    own = [f"{one:g} ({name})" for name, one in rates.items() if name != "default"]
    return ", ".join([*own, f"{'else ' if own else ''}{rates['default']:g}"])


def _disk(
    config: dict,
    layouts: list[dict],
    others: list[Run],
    sampled: dict[Run, int],
    image_bytes: Callable[[Run], int],
    feature_width: Callable[[str], int],
) -> dict[str, float]:
    searches = [
        sampled_images(config, [{**layout, "rows": [row]}])
        for layout in layouts
        for row in layout["rows"]
        if row["screenings"]
    ]
    features = feature_bytes(config, layouts, sampled, feature_width)
    samples = sum(images * image_bytes(run) for run, images in sampled.items())
    kept = kept_bytes(config, layouts, sampled, image_bytes)
    in_flight = in_flight_bytes(sampled, image_bytes, searches, others)
    return {"kept_gb": (features + samples) / GIGA, "temporary_gb": (features + kept + in_flight) / GIGA}


def _costs(config: dict, shape_of: Callable[[str], Shape], name: str, sampled: dict[Run, int]) -> dict:
    giga_macs = hours = 0.0
    for run, images in sampled.items():
        model = config["models"][run.model]
        shape, calls = shape_of(model["checkpoint"]), run.sampler.schedule_length("prompts" in model)
        shallow = shape.full_g if not run.method.caches else shape.shallow_g[run.method.branch]
        step = average_macs(shape.full_g, shallow, calls, range(run.method.num_full(calls)))
        passes = calls * (1 if run.sampler.guidance_scale == 1 else 2)
        macs = images * passes * step
        giga_macs += macs
        hours += 2 * macs / (rate(config, model["checkpoint"]) * 1e3) / 3600  # a MAC is two operations
    downloads, kept = _transfers(config, shape_of, {run.model for run in sampled})
    return {
        "table": name,
        "runs": len(sampled),
        "images": sum(sampled.values()),
        "petamacs": giga_macs / 1e6,
        "hours": hours,
        "download_gb": downloads,
        "inputs_gb": kept,
    }


def _transfers(config: dict, shape_of: Callable[[str], Shape], models: Iterable[str]) -> tuple[float, float]:
    """GB to download, and GB that checkpoints and datasets take on the disk (archives twice: they are unpacked)."""
    used = [config["models"][model] for model in models]
    references = [config["references"][one["reference"]] for one in used if "reference" in one]
    checkpoints = {one[key] for one in used for key in ("checkpoint", "clip", "perceptual") if key in one}
    checkpoints |= {one["weights"] for one in references}
    datasets = {one["dataset"] for one in references}
    datasets |= {one[key] for one in used for key in ("prompts", "calibration_prompts") if key in one}
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
