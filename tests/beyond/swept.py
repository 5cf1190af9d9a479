"""Small sweeps, as the program of target `beyond` writes them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from deepcache.beyond.comparison.sweeps import read_sweeps
from deepcache.beyond.comparison.tables import build_gains_table

PEAK = 255.0**2
# Squared error before rounding, of three seeds with two images each.
ERRORS = {
    ("full", "hold"): [[0, 0], [0, 0], [0, 0]],
    ("uniform", "hold"): [[60, 40], [50, 70], [40, 40]],
    ("eq7", "hold"): [[50, 40], [50, 60], [40, 30]],
    ("online", "hold"): [[60, 40], [50, 70], [40, 40]],
    ("chosen", "chosen"): [[5, 3], [4, 70], [2, 2]],
}


def rounded(errors: list[list[float]]) -> list[list[float]]:
    """Errors as rounding might change them; not by a factor, which gains would not show."""
    return [[error and error + 1.5 for error in row] for row in errors]


def sweep(interval=5, model="a", branch=0, errors=None, **changes) -> dict:
    """A sweep of ten steps; FID is 10 plus the method's place, less 1 for each N below 5."""
    full = list(range(0, 10, interval))
    methods = []
    for place, (method, unrounded) in enumerate({**ERRORS, **(errors or {})}.items()):
        one = {"schedule": method[0], "reuse": method[1], "full_steps": [full]}
        one |= {"squared_error": rounded(unrounded), "squared_error_unrounded": unrounded}
        one |= {"fid": 10.0 + place - (5 - interval), "clip_score": [[30.0 + place, 31.0]] * 3}
        methods.append({**one, "fid_redrawn": [one["fid"] + 0.1 * place * shift for shift in (-1, 2, 0, 3)]})
    methods[0]["full_steps"] = [list(range(10))]
    methods[3]["full_steps"] = [full, [0]]
    methods[4] |= {"picked_schedule": "optimised", "picked_reuse": "forecast1"}
    found = {"model": model, "sampler": "ddim-10", "steps": 10, "schedule_length": 10, "branch": branch}
    found |= {"interval": interval, "seeds": [3, 4, 5], "images": 2, "methods": methods, "device": "A CPU"}
    return {**found, **changes}


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def make(tmp_path: Path, *sweeps: dict) -> list:
    names = [write(tmp_path / one["model"] / f"b{one['branch']}-n{one['interval']}.json", one) for one in sweeps]
    return read_sweeps(names)


def gains_of(tmp_path: Path, *sweeps: dict, goals=None) -> pd.DataFrame:
    return build_gains_table(make(tmp_path, *sweeps), goals or {})


def decibels(errors) -> np.ndarray:
    """PSNR of each image, of errors that are not 0."""
    return 10 * np.log10(PEAK / np.array(errors))


def fid_interval(change: float, redrawn, images: int = 6) -> tuple[float, float, float]:
    """The change, low and high, where these are its redrawn values."""
    sd = np.std(redrawn, ddof=1) * np.sqrt(images / (images - 1))
    return change, *stats.t.interval(0.95, images - 1, change, sd)
