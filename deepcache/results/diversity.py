"""The table of diversity: methods beside the same seeds and prompts without caching."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE
from deepcache.methods.method import Method
from deepcache.quality.diversity import METRICS, Diversity
from deepcache.results.markdown import RANDOM_WEIGHTS

ENDS = ("", "_low", "_high")
UNCACHED = Method().slug
# What a method must have in common with its uncached counterpart, and what else is read of its file.
COMPARED = ("seeds", "images", "prompts", "clip", "perceptual")
KEPT = ("model", "sampler", "method", "runs", "weights", "devices", *(f"{m}{e}" for m in METRICS for e in ENDS))
NOTE = (
    "For each prompt, over all pairs of its images, which differ in their seed alone: mean LPIPS, mean squared "
    "difference of pixels (0 to 255), and the variance of the CLIP score (0 to 100). Each is 0 where all seeds give "
    "the same image. Cells are means over prompts. `_change`: difference to the same seeds and prompts without "
    "caching; below 0, caching makes images more alike. In brackets: 95 % intervals over prompts."
)


def build_diversity_table(files: Sequence[Path]) -> pd.DataFrame:
    """A row for each method, in order.

    Args:
        files: each method's diversity.json, as workflow/scripts/diversity.py writes it.

    Returns:
        Columns `model`, `sampler`, `method`, `interval`, `branch` (from 0; empty without caching), `seeds`, `prompts`
        (how many), then for each metric m `m`, `m_low`, `m_high` and `m_change`, `m_change_low`, `m_change_high`
        (empty without caching), then `device`, `weights`, `runs`.

    Raises:
        DeepCacheError: if a file is damaged, a method has no uncached counterpart, or is measured on other seeds,
            prompts or with other networks than that.
    """
    found = {path: _read(path) for path in files}
    uncached = {(one["model"], one["sampler"]): path for path, one in found.items() if one["method"] == UNCACHED}
    table = pd.DataFrame([_row(path, one, found, uncached) for path, one in found.items()])
    table["branch"] = table["branch"].convert_dtypes()  # else the empty cell turns the others' into fractions
    return table


def diversity_markdown(table: pd.DataFrame, title: str) -> str:
    """The table for reading: means and changes with their intervals, and where they come from."""
    shown = table[["model", "sampler", "method"]].copy()
    for name in (name for metric in METRICS for name in (metric, f"{metric}_change")):
        ends = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
        shown[name] = ["" if pd.isna(mean) else f"{mean:.4g} [{low:.4g}, {high:.4g}]" for mean, low, high in ends]
    seeds, prompts = (", ".join(map(str, sorted(set(table[name])))) for name in ("seeds", "prompts"))
    parts = [
        f"# {title}",
        *([f"**{RANDOM_WEIGHTS}**"] if "random" in set("; ".join(table["weights"]).split("; ")) else []),
        NOTE,
        shown.to_markdown(index=False, disable_numparse=True),
        f"{seeds} seeds, {prompts} prompts, device: {'; '.join(sorted(set(table['device'])))}. "
        "The CSV names the sidecar of every run.",
    ]
    return "\n\n".join(parts) + "\n"


def _read(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        lengths = {len(found["per_prompt"][metric]) for metric in METRICS}
        missing = [key for key in (*KEPT, *COMPARED) if key not in found]
        if missing or lengths != {found["images"]}:
            raise ValueError(f"has no {', '.join(missing) or 'value for each image'}")
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not a readable diversity ({error}); delete it and run again") from error
    return found


def _row(path: Path, one: dict, found: dict[Path, dict], uncached: dict[tuple[str, str], Path]) -> dict:
    method = Method.parse(one["method"])
    without = uncached.get((one["model"], one["sampler"]))
    if without is None:
        raise DeepCacheError(f"{path}: the same without caching ({UNCACHED}) is missing, to which it is compared")
    differing = [key for key in COMPARED if one[key] != found[without][key]]
    if differing:
        raise DeepCacheError(f"{path} and {without} differ in {', '.join(differing)}: measure both on the same")
    if path == without:
        change = {f"{metric}_change{end}": None for metric in METRICS for end in ENDS}
    else:
        change = _diversity(one).change(_diversity(found[without]))
    row = {key: one[key] for key in ("model", "sampler", "method")}
    row |= {"interval": method.interval, "branch": None if path == without else method.branch}
    row |= {"seeds": len(one["seeds"]), "prompts": one["images"]}
    for metric in METRICS:
        row |= {f"{metric}{end}": one[f"{metric}{end}"] for end in ENDS}
        row |= {f"{metric}_change{end}": change[f"{metric}_change{end}"] for end in ENDS}
    return row | {
        "device": "; ".join(one["devices"]),
        "weights": "; ".join(one["weights"]),
        "runs": "; ".join(one["runs"]),
    }


def _diversity(one: dict) -> Diversity:
    return Diversity(**{metric: np.array(one["per_prompt"][metric]) for metric in METRICS})
