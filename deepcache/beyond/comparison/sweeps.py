"""What the tables of target `beyond` are made of: sweeps over all methods."""

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE
from deepcache.quality.intervals import MINIMUM_SEEDS
from deepcache.quality.paired_fidelity import PEAK

# Schedule and what takes the place of the feature.
UNCACHED, HOLD, EQ7, RULE = ("full", "hold"), ("uniform", "hold"), ("eq7", "hold"), ("chosen", "chosen")
COMPARED = ("sampler", "steps", "schedule_length", "seeds", "images")  # alike in all sweeps of a model
KEYS = ("model", "branch", "interval", "methods", *COMPARED)


@dataclass(frozen=True)
class Sweep:
    """One file of workflow/scripts/beyond/sweep.py: all methods of a model, branch and interval.

    Attributes:
        path: the file.
        content: what it says.
    """

    path: Path
    content: Mapping

    @property
    def place(self) -> tuple[str, int, int]:
        """Model, branch and interval."""
        return self.content["model"], self.content["branch"], self.content["interval"]

    def method(self, schedule: str, reuse: str) -> Mapping | None:
        """What the file says of a method; None where it has none such."""
        found = (one for one in self.content["methods"] if (one["schedule"], one["reuse"]) == (schedule, reuse))
        return next(found, None)

    def decibels(self, schedule: str, reuse: str) -> np.ndarray:
        """PSNR of each image before rounding, shape (seeds, images); infinite where there is no error."""
        return decibels(self.method(schedule, reuse)["squared_error_unrounded"])


def decibels(squared_errors: Sequence[Sequence[float]]) -> np.ndarray:
    """PSNR, in dB, of squared errors on the scale of 0 to 255; infinite where there is none."""
    with np.errstate(divide="ignore"):
        return 10 * np.log10(PEAK**2 / np.array(squared_errors))


def tenth_percentile(values: np.ndarray) -> float:
    """Of all values, as numpy.percentile has it; they may be infinite."""
    place = 0.1 * (values.size - 1)
    low, high = np.sort(values, axis=None)[[math.floor(place), math.ceil(place)]]
    return float(low if low == high or place.is_integer() else low + (place % 1) * (high - low))


def read_sweeps(files: Iterable[Path]) -> list[Sweep]:
    """Read and check sweeps; sorted by model, branch and interval.

    Raises:
        DeepCacheError: if a file is damaged, lacks a method that is compared, stands for what another one does, or was
            sampled from other seeds, images or with another sampler than the model's first file.
    """
    sweeps = sorted((_read(Path(path)) for path in files), key=lambda sweep: sweep.place)
    for one, other in itertools.pairwise(sweeps):
        if one.place == other.place:
            raise DeepCacheError(
                f"{other.path}: has the same model, branch and interval as {one.path}: give one of them"
            )
    first: dict[str, Sweep] = {}
    for sweep in sweeps:
        _check_alike(sweep, first.setdefault(sweep.place[0], sweep))
    return sweeps


def _read(path: Path) -> Sweep:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in KEYS if key not in found]
        if missing:
            raise ValueError(f"has no {', '.join(missing)}")
        for one in found["methods"]:
            check_shapes(one, f"{one['schedule']}, {one['reuse']}", found)
            if not one["full_steps"]:
                raise ValueError(f"{one['schedule']}, {one['reuse']} has no full steps")
        sweep = Sweep(path, found)
        absent = [", ".join(method) for method in (UNCACHED, HOLD, EQ7, RULE) if sweep.method(*method) is None]
        if absent:
            raise ValueError(f"lacks the method {'; '.join(absent)}")
        if len({(one["schedule"], one["reuse"]) for one in found["methods"]}) < len(found["methods"]):
            raise ValueError("has a method twice")
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not a readable sweep ({error}); delete it and run again") from error
    if len(found["seeds"]) < MINIMUM_SEEDS:
        raise DeepCacheError(f"{path}: gains need at least {MINIMUM_SEEDS} seeds, not {len(found['seeds'])}")
    return sweep


def check_shapes(one: Mapping, name: str, found: Mapping) -> None:
    """Refuse a method whose lists do not hold as many values as there are seeds and images; a missing key too."""
    counts = [found["images"]] * len(found["seeds"])
    for metric in ("squared_error", "squared_error_unrounded", "clip_score"):
        values = one[metric]
        if values is None and metric == "clip_score":
            continue
        if [len(of) for of in values] != counts:
            raise ValueError(f"{name}: {metric} is not of {len(counts)} seeds with {found['images']} images each")
    scores = [] if one["fid"] is None else [one["fid"], *one["fid_redrawn"]]
    if scores and not (len(scores) > 2 and all(map(math.isfinite, scores))):
        raise ValueError(f"{name}: fid and fid_redrawn are not at least three finite numbers")


def _check_alike(sweep: Sweep, other: Sweep) -> None:
    differing = [key for key in COMPARED if sweep.content[key] != other.content[key]]
    if differing:
        raise DeepCacheError(
            f"{sweep.path}: has another {', '.join(differing)} than {other.path}: FID and gains are of equal samples; "
            "delete it and run again"
        )
