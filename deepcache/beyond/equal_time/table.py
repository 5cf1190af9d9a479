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
