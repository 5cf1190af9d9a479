"""How FID and CLIP score of a way to cache differ from those of another, of the same noises."""

from collections.abc import Mapping

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.quality.intervals import bootstrapped, paired_over_images


def score_changes(one: Mapping, other: Mapping | None) -> dict[str, float | None]:
    """The changes with their 95 % intervals over images.

    Args:
        one: what Comparison.measure found of some images.
        other: of others of the same noises; None: there are none.

    Raises:
        DeepCacheError: if images were not redrawn as often.

    Returns:
        `fid_change`, `fid_change_low`, `fid_change_high`, and the same of `clip`; None where a score is missing.
    """
    found = dict.fromkeys((f"{score}_change{end}" for score in ("fid", "clip") for end in ("", "_low", "_high")), None)
    if other is None:
        return found
    if one["fid"] is not None and other["fid"] is not None:
        if len(one["fid_redrawn"]) != len(other["fid_redrawn"]):
            raise DeepCacheError("images of two sweeps were redrawn in different numbers: sample them again")
        redrawn = np.subtract(one["fid_redrawn"], other["fid_redrawn"]).tolist()
        images = sum(map(len, one["squared_error"]))
        change = bootstrapped(one["fid"] - other["fid"], redrawn, images)
        found |= {"fid_change": change.value, "fid_change_low": change.low, "fid_change_high": change.high}
    if one["clip_score"] is not None and other["clip_score"] is not None:
        change = paired_over_images(*(np.concatenate(each["clip_score"]).tolist() for each in (one, other)))
        found |= {"clip_change": change.value, "clip_change_low": change.low, "clip_change_high": change.high}
    return found
