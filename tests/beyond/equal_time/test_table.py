"""The table, its text and its picture, of contests that were made up."""

import json

import numpy as np
import pandas as pd
import pytest

from deepcache import DeepCacheError
from deepcache.beyond.equal_time.figure import draw_budget
from deepcache.beyond.equal_time.markdown import budget_markdown
from deepcache.beyond.equal_time.methods import METHODS, TUNED
from deepcache.beyond.equal_time.read import read_contests
from deepcache.beyond.equal_time.table import build_budget_table, build_few_steps_table

CONTRACT = (
    "model,target_speed,method,speed,seconds_per_image,macs_g,error_db,error_p10_db,error_low,error_high,fid,clip_score"
)
DECIBELS = {
    "fewer_steps": 38.0,
    "hold": 35.0,
    "forecast": 39.0,
    "whole_output_hold": 30.0,
    "whole_output_forecast": 40.0,
}


def squared(decibels: float, spread: float = 1.0) -> list[list[float]]:
    """Squared errors of 2 seeds with 5 images, whose PSNR has that mean."""
    values = decibels + spread * np.linspace(-1, 1, 10).reshape(2, 5)
    return (255**2 / 10 ** (values / 10)).tolist()


def row(target, method, decibels=None):
    if decibels is None:
        return {"target_speed": target, "method": method, "setting": "at most 1.1 times as fast", "highest": 1.1}
    measured = {"squared_error": squared(decibels), "squared_error_unrounded": squared(decibels)}
    measured |= {"fid": 3.0, "fid_redrawn": [3.0, 3.1, 3.2], "clip_score": [[70.0] * 5] * 2}
    speed = target - 0.1 if method == "hold" else target + 0.01
    about = {"setting": f"{method} so", "speed": speed, "seconds_per_image": 0.1, "macs_g": 0.5}
    return {"target_speed": target, "method": method, **about, **measured}


def few_row(method, decibels, fewer):
    measured = {
        key: row(2, method, decibels)[key] for key in ("squared_error", "squared_error_unrounded", "clip_score")
    }
    measured |= {"fid": None, "fid_redrawn": None}
    one = {"steps": 4, "sampler": "dpmpp-4", "method": method, "speed": 1.5, "setting": "so", **measured}
    others = {**measured, "squared_error": squared(31.0), "squared_error_unrounded": squared(31.0, 2.0)}
    return one | {"uncached": others, "fewer": fewer and {"setting": fewer, **others}}


@pytest.fixture
def made(tmp_path):
    rows = [row(2, method, DECIBELS.get(method)) for method in METHODS] + [row(2, TUNED, 43.0)]
    rows += [row(3, method, DECIBELS["fewer_steps"] if method == "fewer_steps" else None) for method in METHODS]
    rows += [row(3, TUNED, 37.9)]
    content = {"model": "m", "sampler": "ddim-20", "seeds": [0, 1], "images": 5, "batch_size": 8, "rows": rows}
    few = [few_row("hold", 30.0, "ddim-2, uncached"), few_row("forecast", 33.0, None)]
    content |= {
        "few_steps": few,
        "seconds_per_image": 1.0,
        "converged": "ddim-100",
        "weights": "bundled",
        "device": "a CPU",
    }
    path = tmp_path / "m.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_columns_and_values(made):
    table = build_budget_table(read_contests([made]))
    assert ",".join(table.columns).startswith(CONTRACT)
    found = table.set_index(["target_speed", "method"])
    hold = found.loc[(2, "hold")]
    assert hold["error_db"] == pytest.approx(35) and hold["error_p10_db"] == pytest.approx(34.2)
    assert hold["error_low"] < 35 < hold["error_high"] and hold["clip_score"] == 70
    assert hold["tuned_lead_db"] == pytest.approx(8) and hold["tuned_lead_low"] == pytest.approx(8)
    gate = found.loc[(2, "tgate")]
    assert gate["highest_speed"] == 1.1 and gate[["speed", "error_db", "tuned_lead_db"]].isna().all()


def test_few_steps_are_compared_with_fewer(made):
    contests = read_contests([made])
    few = build_few_steps_table(contests)
    hold, line = few.to_dict("records")
    assert hold["error_db"] == pytest.approx(30) and hold["fewer_db"] == hold["uncached_db"] == pytest.approx(31)
    assert hold["gain_low"] < hold["gain_db"] < hold["gain_high"] and hold["gain_db"] == pytest.approx(-1)
    assert pd.isna(line["fewer"]) and np.isnan(line["gain_db"])
    text = budget_markdown(build_budget_table(contests), few, contests, "Title")
    assert "| dpmpp-4 | uniform, hold (paper) | 1.50 " in text and "| ddim-2, uncached: 31.0 | -1.0 [" in text
    assert len(build_few_steps_table([{**contests[0], "few_steps": []}])) == 0


def test_who_wins_is_said(made):
    contests = read_contests([made])
    few = build_few_steps_table(contests)
    text = budget_markdown(build_budget_table(contests), few, contests, "Title")
    assert (
        "2 times as fast: tuned plan (ours) wins with 43.0 dB; the tuned plan to whole output, forecast: +3.0 dB"
        in text
    )
    assert "3 times as fast: fewer steps wins with 38.0 dB" in text and "-0.1 dB" in text
    assert "Of 2 cells that two methods reach, the tuned plan is ahead of all in 1," in text
    assert (
        "behind one by more than the interval in 1. Over fewer steps alone it is ahead by 3 dB or more in 1 of 2."
        in text
    )
    assert "**43.0 (42.2)**" in text and "35.0 (34.2) †" in text and "up to 1.1" in text


def test_a_plan_that_is_late_wins_nothing(made):
    contests = read_contests([made])
    table, few = build_budget_table(contests), build_few_steps_table(contests)
    late = table.assign(speed=table["speed"].where(table["method"] != TUNED, 1.5))
    text = budget_markdown(late, few, contests, "Title")
    assert "Of 0 cells that two methods reach" in text and "43.0 (42.2) †" in text


def test_the_picture_shows_what_was_reached(made):
    table = build_budget_table(read_contests([made]))
    (panel,) = draw_budget("Title", table).axes
    assert len(panel.get_legend_handles_labels()[1]) == len(DECIBELS) + 1
    with pytest.raises(DeepCacheError, match="no method reaches any of these speeds"):
        draw_budget("Title", table.assign(error_db=np.nan))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.pop("converged"), "has no converged"),
        (lambda one: one["rows"][0].pop("speed"), "has no speed"),
        (
            lambda one: one["few_steps"][0]["fewer"]["squared_error"].pop(),
            "fewer steps hold of 4 steps: squared_error is",
        ),
        (lambda one: one["rows"][0]["squared_error_unrounded"][0].pop(), "is not of 2 seeds with 5 images each"),
    ],
)
def test_damaged_files_are_named(made, change, message):
    content = json.loads(made.read_text(encoding="utf-8"))
    change(content)
    made.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DeepCacheError, match=f"{made}: not a readable contest .*{message}"):
        read_contests([made])


def test_two_files_of_a_model_are_refused(made):
    with pytest.raises(DeepCacheError, match="two contests of m were given"):
        read_contests([made, made])


def test_empty_cells_stay_empty_in_the_file(made, tmp_path):
    build_budget_table(read_contests([made])).to_csv(tmp_path / "b.csv", index=False)
    again = pd.read_csv(tmp_path / "b.csv")
    assert again.loc[again["method"] == "tgate", "speed"].isna().all()
