"""What a contest found, read and checked."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from deepcache.beyond.comparison.sweeps import check_shapes
from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE

KEYS = ("model", "seeds", "images", "seconds_per_image", "converged", "rows", "few_steps")
MEASURED = ("setting", "speed", "seconds_per_image", "macs_g")


def read_contests(files: Iterable[Path]) -> list[Mapping]:
    """What workflow/scripts/beyond/budget.py wrote, a file for each model.

    Raises:
        DeepCacheError: if a file is damaged, or two are of the same model.
    """
    found = [_read(Path(path)) for path in files]
    models = [one["model"] for one in found]
    twice = next((model for model in models if models.count(model) > 1), None)
    if twice:
        raise DeepCacheError(f"two contests of {twice} were given: give one of them")
    return found


def _read(path: Path) -> Mapping:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in KEYS if key not in found]
        for row in found.get("rows", ()):
            missing += [key for key in ("target_speed", "method", "setting") if key not in row]
            if reached(row):
                missing += [key for key in MEASURED if key not in row]
                check_shapes(row, row["method"], found)
        for row in found.get("few_steps", ()):
            parts = {"": row, "uncached ": row["uncached"]} | ({"fewer steps ": row["fewer"]} if row["fewer"] else {})
            for name, part in parts.items():
                check_shapes(part, f"{name}{row['method']} of {row['steps']} steps", found)
        if missing:
            raise ValueError(f"has no {', '.join(dict.fromkeys(missing))}")
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{path}: not a readable contest ({error}); delete it and run again") from error
    return found


def reached(row: Mapping) -> bool:
    """Whether the method reaches the speed."""
    return "highest" not in row
