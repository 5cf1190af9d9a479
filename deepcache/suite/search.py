"""Searches by successive halving: all candidates on few images, the better half on twice as many, the last two on all.

A run's first images are those of its first shards, and noise, class and prompt of image j depend on the seed and j
alone: whoever is compared in a round has made the same images.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE

LAST = 2  # candidates that get all images
HIGHER_IS_BETTER = ("clip_score",)
Candidate = TypeVar("Candidate")


def candidates(search: dict) -> list[dict]:
    """What a row's search picks from, each as a run of a row: every centre with every power."""
    shared = {key: value for key, value in search.items() if key not in ("centers", "powers", "by")}
    pairs = [{"center": center, "power": power} for center in search["centers"] for power in search["powers"]]
    return [{"schedule": "nonuniform", **shared, **pair} for pair in pairs]


def screenings(count: int, model: dict) -> list[dict]:
    """The rounds before the last, in which those that are left get all of the model's images.

    Args:
        count: number of candidates.
        model: its entry in the config: `samples`, and `screened`, the images of the first round; without it, there is
            no round but the last.

    Returns:
        For each round the `images` of a run, from the first on, and how many candidates it is to `keep`.
    """
    found: list[dict] = []
    images = model.get("screened", model["samples"])
    while count > LAST and images < model["samples"]:
        count = math.ceil(count / 2)
        found.append({"images": images, "keep": count})
        images *= 2
    return found


def ranked(scores: Mapping[Candidate, float | None], by: str) -> list[Candidate]:
    """Candidates, the best first: lowest FID, highest CLIP score; equals in their order, undefined ones last."""
    sign = -1 if by in HIGHER_IS_BETTER else 1
    return sorted(scores, key=lambda one: math.inf if scores[one] is None else sign * scores[one])


def settle(layout: dict, root: str | Path) -> dict:
    """A table's layout in which each row has those of its search's candidates that got all images.

    Args:
        layout: see deepcache.suite.layout.table_layout.
        root: `results/<suite>`, where the screenings say who was kept.

    Raises:
        DeepCacheError: if a screening's file is missing, damaged, or of other candidates.
    """
    return {**layout, "rows": [_settled(row, Path(root)) for row in layout["rows"]]}


def _settled(row: dict, root: Path) -> dict:
    if not row.get("screenings"):
        return row
    path = root / row["screenings"][-1]["file"]
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["kept"]
        strangers = sorted(set(kept) - set(row["candidates"]))
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: no readable screening ({error!r}); delete it and run again") from error
    if strangers:
        raise DeepCacheError(f"{path}: keeps {strangers[0]}, which is no candidate; delete it and run again")
    return {**row, "candidates": [one for one in row["candidates"] if one in kept]}
