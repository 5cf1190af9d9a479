"""Table `budget`: what each method loses at a speed, and by how much the tuned plan is ahead."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from deepcache.beyond.calibration.choose import LEAST
from deepcache.beyond.comparison.sweeps import decibels, tenth_percentile
from deepcache.beyond.comparison.tables import mean_clip_score
from deepcache.beyond.equal_time.methods import TUNED
from deepcache.beyond.equal_time.read import reached
from deepcache.quality.intervals import paired_over_images
from deepcache.quality.paired_fidelity import mean_interval

NUMBERS = ("speed", "seconds_per_image", "macs_g", "error_db", "error_p10_db", "error_low", "error_high", "fid")
FEW_COLUMNS = ["model", "steps", "sampler", "method", "speed", "error_db", "uncached_db"]
FEW_COLUMNS += ["fewer", "fewer_db", "gain_db", "gain_low", "gain_high"]
NUMBERS += ("clip_score", "highest_speed", "tuned_lead_db", "tuned_lead_low", "tuned_lead_high")


def build_budget_table(contests: Sequence[Mapping]) -> pd.DataFrame:
    """A row for each model, speed and method, in their order.

    Args:
        contests: see `read_contests`.

    Returns:
        Columns `model`, `target_speed`, `method`; `speed`, measured, over the usual trajectory without caching, and
        `seconds_per_image`; `macs_g`, G MACs of an image averaged over the usual steps (empty of merged tokens);
        `error_db`, the mean over images of the PSNR to the converged ones, before rounding, `error_p10_db`, its 10th
        percentile, `error_low` and `error_high`, the mean's 95 % interval over images; `fid` of all images,
        `clip_score`; `setting`, in words; `highest_speed`, where the target is not reached: then all but this is
        empty; `tuned_lead_db`, by how much the tuned plan's error is better, with its paired 95 % interval over images
        `tuned_lead_low` and `tuned_lead_high`.
    """
    rows = []
    for found in contests:
        tuned = {row["target_speed"]: row for row in found["rows"] if row["method"] == TUNED}
        for row in found["rows"]:
            cells = {"model": found["model"], "target_speed": row["target_speed"], "method": row["method"]}
            cells |= dict.fromkeys(NUMBERS) | {"setting": row["setting"], "highest_speed": row.get("highest")}
            if reached(row):
                cells |= _measured(row)
                if row["method"] != TUNED:
                    cells |= _lead(tuned[row["target_speed"]], row)
            rows.append(cells)
    table = pd.DataFrame(rows).astype(dict.fromkeys(NUMBERS, float))
    first = ["model", "target_speed", "method", *NUMBERS[:9], "setting"]
    return table[[*first, *NUMBERS[9:]]]


def build_few_steps_table(contests: Sequence[Mapping]) -> pd.DataFrame:
    """A row for each model, number of steps and way to cache with N = 2.

    Args:
        contests: see `read_contests`.

    Returns:
        Columns `model`, `steps`, `sampler`, `method`, `speed` over the same steps uncached, `error_db` (see
        `build_budget_table`), `uncached_db`, that of the same steps uncached, `fewer`, the best sampler with as many
        steps as take no longer, its `fewer_db`; `gain_db`, the error's gain over that, with its paired 95 % interval
        over images `gain_low` and `gain_high`.
    """
    rows = []
    for found in contests:
        for row in found["few_steps"]:
            errors, fewer = by_image(row), row["fewer"]
            cells = {"model": found["model"], **{key: row[key] for key in ("steps", "sampler", "method", "speed")}}
            cells |= {"error_db": float(errors.mean()), "uncached_db": float(by_image(row["uncached"]).mean())}
            cells |= dict.fromkeys(("fewer", "fewer_db", "gain_db", "gain_low", "gain_high"))
            if fewer:
                others = by_image(fewer)
                gain = paired_over_images(errors.tolist(), others.tolist())
                cells |= {"fewer": fewer["setting"], "fewer_db": float(others.mean())}
                cells |= {"gain_db": gain.value, "gain_low": gain.low, "gain_high": gain.high}
            rows.append(cells)
    return pd.DataFrame(rows, columns=FEW_COLUMNS)


def by_image(row: Mapping) -> np.ndarray:
    """PSNR of each image to its converged one, dB, shape (images,)."""
    return decibels(np.maximum(np.concatenate(row["squared_error_unrounded"]), LEAST))


def _measured(row: Mapping) -> dict:
    errors = by_image(row)
    low, high = mean_interval(errors)
    return {
        "speed": row["speed"],
        "seconds_per_image": row["seconds_per_image"],
        "macs_g": row["macs_g"],
        "error_db": float(errors.mean()),
        "error_p10_db": tenth_percentile(errors),
        "error_low": low,
        "error_high": high,
        "fid": row["fid"],
        "clip_score": mean_clip_score(row),
    }


def _lead(tuned: Mapping, row: Mapping) -> dict:
    if not reached(tuned):
        return {}
    lead = paired_over_images(by_image(tuned).tolist(), by_image(row).tolist())
    return {"tuned_lead_db": lead.value, "tuned_lead_low": lead.low, "tuned_lead_high": lead.high}
