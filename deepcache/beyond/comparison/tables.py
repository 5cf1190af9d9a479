"""Every method's error and MACs, and the rule's gain over the better of the paper's two schedules."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd

from deepcache.beyond.comparison.score_changes import score_changes
from deepcache.beyond.comparison.sweeps import EQ7, HOLD, RULE, UNCACHED, Sweep, decibels, tenth_percentile
from deepcache.caching.schedules import average_macs
from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE
from deepcache.quality.intervals import paired_over_seeds
from deepcache.quality.paired_fidelity import mean_interval, psnr


def build_beyond_table(sweeps: Sequence[Sweep], macs: Mapping[str, Path]) -> pd.DataFrame:
    """A row for every method of every sweep, in their order.

    Args:
        sweeps: see `read_sweeps`.
        macs: model -> JSON that workflow/scripts/model_macs.py wrote.

    Returns:
        Columns `model`, `branch` (from 0), `interval`, `schedule`, `reuse`, `macs_g` (G MACs of one image and step,
        averaged over the steps; where the full steps differ between batches, over those too), `psnr_db` of the mean
        squared error over all images of all seeds with its 95 % interval over images `psnr_low` and `psnr_high`,
        `psnr_mean_db` and `psnr_p10_db`, mean and 10th percentile of the PSNR that each image has before it is rounded
        (all empty where there is no error at all), `fid` of all images, `clip_score`, their mean.

    Raises:
        DeepCacheError: if a model's MACs, or those of a branch, are missing.
    """
    counted = {model: _read_macs(path) for model, path in macs.items()}
    rows = []
    for sweep in sweeps:
        model, branch, interval = sweep.place
        if model not in counted or str(branch) not in counted[model]["shallow_g"]:
            where = macs.get(model, "--macs")
            raise DeepCacheError(f"{where}: no MACs of {model}, branch {branch}, which {sweep.path} needs")
        for one in sweep.content["methods"]:
            errors = np.concatenate(one["squared_error"])
            least, most = mean_interval(errors)
            by_image = decibels(one["squared_error_unrounded"])
            rows.append(
                {
                    "model": model,
                    "branch": branch,
                    "interval": interval,
                    "schedule": one["schedule"],
                    "reuse": one["reuse"],
                    "macs_g": _average_macs(counted[model], sweep, one["full_steps"]),
                    "psnr_db": psnr(errors.mean()),
                    "psnr_low": psnr(most),  # the larger the error, the smaller the PSNR
                    "psnr_high": psnr(least),
                    "psnr_mean_db": finite(by_image.mean()),
                    "psnr_p10_db": finite(tenth_percentile(by_image)),
                    "fid": one["fid"],
                    "clip_score": mean_clip_score(one),
                }
            )
    return pd.DataFrame(rows)


def build_gains_table(sweeps: Sequence[Sweep], goals: Mapping[int, float]) -> pd.DataFrame:
    """A row for each sweep: what the rule gains over the better of uniform and Eq. 7 holding, and scores beside it.

    PSNR is that of each image before rounding, `mean`, `median` and `p10` (10th percentile) over all images of all
    seeds; the better way to hold is that with the larger mean. `gain_db` is the difference of means, its interval
    Student's over the seeds. Where an image has no error at all, there is no interval; the gain is infinite where only
    the rule's have none.

    Args:
        sweeps: see `read_sweeps`.
        goals: interval -> gain that is aimed at, dB.

    Returns:
        Columns `model`, `branch`, `interval`, `full_steps` (how many), `hold_psnr_mean_db`, `eq7_psnr_mean_db`,
        `picked_schedule`, `picked_reuse`, `psnr_mean_db`, `psnr_median_db`, `psnr_p10_db` (the rule's), `gain_db`,
        `gain_low`, `gain_high`, `p10_gain_db`, `worst_image_gain_db`, `images_worse` (how many), `fid_hold`,
        `fid_rule`, `fid_hold_half`, `clip_hold`, `clip_rule`, `clip_hold_half` (see `half`), the rule's changes to the
        latter with their paired intervals over images, `fid_change`, `fid_change_low`, ..., `clip_change_high`,
        `goal_db`, `reached` (both empty where there is no goal).
    """
    at = {sweep.place: sweep for sweep in sweeps}
    table = pd.DataFrame([_gains(sweep, at, goals) for sweep in sweeps])
    numbers = [name for name in table if name.startswith(("fid", "clip", "gain", "goal")) or name.endswith("_db")]
    return table.astype({**dict.fromkeys(numbers, float), "reached": "boolean"})  # also columns that are empty


def half(interval: int, swept: Iterable[int]) -> int | None:
    """The interval that stands for half of another: the smallest that was swept and is not below half.

    So it is half where half was swept; of N=2 it is 1, no caching. None where nothing lies between.
    """
    found = [other for other in {1, *swept} if interval / 2 <= other < interval]
    return min(found, default=None)


def _read_macs(path: Path) -> Mapping:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {key: found[key] for key in ("full_g", "shallow_g")}
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not readable MACs ({error}); delete it and run again") from error


def _average_macs(counted: Mapping, sweep: Sweep, full_steps: Sequence[Sequence[int]]) -> float:
    """G MACs a step; calls beyond the schedule's length, such as the one that PLMS repeats, do not count."""
    calls, steps = sweep.content["schedule_length"], sweep.content["steps"]
    shallow = counted["shallow_g"][str(sweep.place[1])]
    numbers = [min(len(one), calls) for one in full_steps]
    return fmean(average_macs(counted["full_g"], shallow, calls, range(k)) for k in numbers) * (calls / steps)


def mean_clip_score(one: Mapping) -> float | None:
    """Of all images that a method's entry holds; None where they have none."""
    return None if one["clip_score"] is None else float(np.mean(one["clip_score"]))


def finite(value: float) -> float | None:
    """None where it is infinite."""
    return float(value) if math.isfinite(value) else None


def _gains(sweep: Sweep, at: Mapping[tuple[str, int, int], Sweep], goals: Mapping[int, float]) -> dict:
    model, branch, interval = sweep.place
    hold, eq7, rule = (sweep.decibels(*method) for method in (HOLD, EQ7, RULE))
    better = max(hold, eq7, key=np.mean)
    gain, low, high = _gain(sweep.content["seeds"], rule, better)
    with np.errstate(invalid="ignore"):
        by_image = np.where(rule == better, 0.0, rule - better)
    picked, goal = sweep.method(*RULE), goals.get(interval)
    tenth = [tenth_percentile(each) for each in (rule, better)]
    other = half(interval, (place[2] for place in at if place[:2] == (model, branch)))
    scored = {"hold": sweep.method(*HOLD), "rule": picked, "hold_half": None}
    if other is not None:
        scored["hold_half"] = sweep.method(*UNCACHED) if other == 1 else at[model, branch, other].method(*HOLD)
    return {
        "model": model,
        "branch": branch,
        "interval": interval,
        "full_steps": len(sweep.method(*HOLD)["full_steps"][0]),
        "hold_psnr_mean_db": finite(hold.mean()),
        "eq7_psnr_mean_db": finite(eq7.mean()),
        "picked_schedule": picked.get("picked_schedule"),
        "picked_reuse": picked.get("picked_reuse"),
        "psnr_mean_db": finite(rule.mean()),
        "psnr_median_db": finite(np.median(rule)),
        "psnr_p10_db": finite(tenth[0]),
        "gain_db": gain,
        "gain_low": low,
        "gain_high": high,
        "p10_gain_db": 0.0 if tenth[0] == tenth[1] else tenth[0] - tenth[1],
        "worst_image_gain_db": float(by_image.min()),
        "images_worse": int((rule < better).sum()),
        **{f"fid_{name}": one and one["fid"] for name, one in scored.items()},
        **{f"clip_{name}": one and mean_clip_score(one) for name, one in scored.items()},
        **score_changes(picked, scored["hold_half"]),
        "goal_db": goal,
        "reached": None if goal is None else gain >= goal,
    }


def _gain(seeds: Sequence[int], mine: np.ndarray, others: np.ndarray) -> tuple[float, float | None, float | None]:
    """Mean of the PSNR of images less that of others, shape (seeds, images), and its interval over seeds."""
    by_seed = [dict(zip(seeds, each.mean(1).tolist(), strict=True)) for each in (mine, others)]
    if all(math.isfinite(value) for each in by_seed for value in each.values()):
        found = paired_over_seeds(*by_seed)
        return found.value, found.low, found.high
    return 0.0 if mine.mean() == others.mean() else float(mine.mean() - others.mean()), None, None
