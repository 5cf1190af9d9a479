"""Reading the results that the report shows; what cannot be read is named."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from deepcache.errors import DeepCacheError, reason
from deepcache.files import UNREADABLE
from deepcache.json_values import read_object


def read_table(path: Path) -> pd.DataFrame:
    """A table's CSV; DeepCacheError where it cannot be read."""
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DeepCacheError(f"{path}: cannot be read ({reason(error)}); delete it and run again") from error


def read_text(path: Path) -> str:
    """A page of Markdown; DeepCacheError where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DeepCacheError(f"{path}: cannot be read ({reason(error)}); delete it and run again") from error


def read_recorded(path: Path) -> dict:
    """What a file of features says of itself; DeepCacheError where it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return json.loads(str(file["about"]))
    except UNREADABLE as error:
        raise DeepCacheError(f"{path}: not a recorded similarity ({error}); delete it and run again") from error


def read_manifests(folder: Path, names: Iterable[str]) -> list[dict]:
    """The manifests of those checkpoints or datasets that the suite has opened."""
    return [read_object(folder / f"{name}.json") for name in names if (folder / f"{name}.json").exists()]
