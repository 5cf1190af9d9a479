"""One round of a search: its candidates compared on the same images."""

import json
from collections.abc import Sequence
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE
from deepcache.runs.run import Run
from deepcache.suite.search import ranked


def screen(files: Sequence[Path], by: str, images: int, keep: int) -> dict:
    """Rank candidates and keep the best.

    Args:
        files: of each candidate, what was measured of its first images: a file as metrics.json or clip_score.json.
        by: `fid` or `clip_score`.
        images: how many that must be: FID depends on their number.
        keep: number of candidates that go on.

    Returns:
        `by`, `images`, the `scores` by run (its folder below `results/<suite>`), and the runs that are `kept`, the best
        first.

    Raises:
        DeepCacheError: if a file is damaged, or is of another number of images.
    """
    scores: dict[str, float | None] = {}
    for path in files:
        try:
            measured = json.loads(path.read_text(encoding="utf-8"))
            count, run, score = measured["images"], measured["run"], measured[by]
        except (*UNREADABLE, TypeError) as error:
            raise DeepCacheError(f"{path}: cannot be read ({error!r}); delete it and run again") from error
        if count != images:
            raise DeepCacheError(f"{path}: is of {count} images, not of the {images} on which candidates are compared")
        scores[str(Run.parse(Path(run).parent).path)] = score
    return {"by": by, "images": images, "scores": scores, "kept": ranked(scores, by)[:keep]}
