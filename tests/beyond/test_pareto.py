"""Error and score against cost: what is drawn where."""

import json
import math
import subprocess
import sys
from itertools import combinations, pairwise
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from deepcache import DeepCacheError
from deepcache.beyond.comparison.sweeps import EQ7, HOLD, RULE, read_sweeps
from deepcache.beyond.comparison.tables import build_beyond_table
from deepcache.beyond.figures.pareto import LABELS, LOOKS, draw_pareto, pareto_points, read_timing
from deepcache.figures.style import save

ROOT = Path(__file__).resolve().parents[2]
DECIBELS = {"full": None, "uniform": 20, "eq7": 21, "chosen": 35}


def write(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def sweep(model: str, branch: int, interval: int, clip: bool) -> dict:
    """Twenty steps; the larger N and the lower the branch, the worse."""
    full, methods = list(range(0, 20, interval)), []
    for schedule, decibels in DECIBELS.items():
        lower = 0 if decibels is None else decibels - 2 * interval**0.5 + branch
        error = 0 if decibels is None else 255**2 / 10 ** (lower / 10)
        one = {"schedule": schedule, "reuse": "chosen" if schedule == "chosen" else "hold", "full_steps": [full]}
        one |= {"squared_error": [[3 * error] * 2] * 3, "squared_error_unrounded": [[4 * error, error / 4]] * 3}
        one |= {"fid": None, "fid_redrawn": None} if clip else {"fid": 60 - lower, "fid_redrawn": [60 - lower] * 3}
        methods.append({**one, "clip_score": [[20 + lower / 10] * 2] * 3 if clip else None})
    methods[0]["full_steps"] = [list(range(20))]
    return {
        **{"model": model, "sampler": "ddim-20", "steps": 20, "schedule_length": 20, "branch": branch},
        **{"interval": interval, "seeds": [0, 1, 2], "images": 2, "methods": methods},
    }


@pytest.fixture
def files(tmp_path) -> dict[str, list]:
    """Two models; one is scored by FID and timed, the other has CLIP scores and no times."""
    sweeps = [
        write(tmp_path / model / f"b{branch}-n{interval}.json", sweep(model, branch, interval, model == "painter"))
        for model in ("dots", "painter")
        for branch in (0, 2)
        for interval in (2, 3, 5, 10, 20)
    ]
    counted = {"full_g": 10.0, "shallow_g": {"0": 1.0, "2": 3.0}}
    macs = {model: write(tmp_path / f"{model}.json", counted) for model in ("dots", "painter")}
    timed = {"dots/ddim-20/full": {"seconds": [4.0, 6.0, 5.0]}}
    for branch in (0, 2):
        for n in (2, 3, 5, 10, 20):
            seconds = [(4 + branch) / n, 3 / n, 5 / n]
            timed |= {f"dots/ddim-20/{name}-n{n}-b{branch}": {"seconds": seconds} for name in ("uniform", "chosen")}
    return {"sweeps": sweeps, "macs": macs, "timing": [write(tmp_path / "timing.json", {"variants": timed})]}


def points_of(files, timing=True) -> pd.DataFrame:
    sweeps = read_sweeps(files["sweeps"])
    timed = read_timing(files["timing"]) if timing else {}
    return pareto_points(sweeps, build_beyond_table(sweeps, files["macs"]), timed)


def test_points_have_cost_error_and_measured_speed(files):
    points = points_of(files)
    dots = points[(points["model"] == "dots") & (points["interval"] == 5)].set_index(["series", "branch"])
    rule, hold, eq7 = (dots.loc[(LABELS[method], 2)] for method in (RULE, HOLD, EQ7))
    assert rule["macs_g"] == pytest.approx((4 * 10 + 16 * 3) / 20)
    assert rule["psnr_mean_db"] == pytest.approx(35 - 2 * 5**0.5 + 2)
    # Pairs of repetitions: 4 / 1.2, 6 / 0.6, 5 / 1 times faster.
    assert rule["speed"] == hold["speed"] == pytest.approx(5)
    assert rule["fid"] == pytest.approx(60 - rule["psnr_mean_db"])
    assert math.isnan(eq7["speed"]), "is not timed"
    uncached = points[points["series"] == "uncached"]
    assert set(uncached["branch"]) == {-1} and set(uncached["interval"]) == {1}
    assert set(uncached["psnr_mean_db"]) == {math.inf}


def panels(figure) -> dict[tuple[int, int], object]:
    """Row and column -> panel."""
    places = {axes: axes.get_subplotspec() for axes in figure.axes}
    return {(place.rowspan.start, place.colspan.start): axes for axes, place in places.items()}


def test_a_column_for_each_model_without_empty_panels(files):
    figure = draw_pareto("Title", points_of(files))
    found = panels(figure)
    assert sorted(found) == [(0, 0), (0, 1), (1, 0), (2, 0)], "the second model was not timed"
    assert found[0, 1].get_title() == "painter\nbranch 0: solid, filled; branch 2: dashed, hollow"
    labels = {place: (axes.get_xlabel(), axes.get_ylabel()) for place, axes in found.items()}
    assert labels[0, 0] == labels[0, 1] == ("MACs of a step, G", "PSNR to the uncached images, dB")
    assert labels[1, 0] == ("times faster than uncached", "PSNR to the uncached images, dB")
    assert labels[2, 0] == ("times faster than uncached", "FID (lower is better)")
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == [LABELS[HOLD], LABELS[EQ7], LABELS[RULE], "uncached"], "no forecast was swept"
    assert sorted(panels(draw_pareto("Title", points_of(files, timing=False)))) == [(0, 0), (0, 1)]


def test_lines_are_branches_and_points_are_the_numbers(files):
    points = points_of(files)
    panel = panels(draw_pareto("Title", points))[0, 0]
    looks = {(line.get_color(), line.get_linestyle()): line for line in panel.lines}
    assert set(looks) == {(LOOKS[series]["color"], style) for series in (HOLD, EQ7, RULE) for style in ("-", "--")}
    rows = points[(points["model"] == "dots") & (points["series"] == LABELS[RULE]) & (points["branch"] == 2)]
    drawn = looks[LOOKS[RULE]["color"], "--"]
    assert drawn.get_xydata() == pytest.approx(rows.sort_values("macs_g")[["macs_g", "psnr_mean_db"]].to_numpy())
    assert drawn.get_markerfacecolor() == "white"


def test_clip_scores_come_before_fid(files):
    points = points_of(files)
    points["speed"] = 10 / points["macs_g"]
    panel = panels(draw_pareto("Title", points))[2, 1]
    assert panel.get_ylabel() == "CLIP score (higher is better)"
    assert panel.lines[-1].get_label() == "uncached"
    assert list(panel.lines[-1].get_ydata()) == [20, 20]


def test_numbers_are_n_and_cover_nothing(files):
    figure = draw_pareto("Title", points_of(files))
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    for place, panel in panels(figure).items():
        boxes = [text.get_window_extent(renderer) for text in panel.texts]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
        spots = [spot for line in panel.lines[:-1] for spot in panel.transData.transform(line.get_xydata())]
        assert not any(box.contains(*spot) for box in boxes for spot in spots)
        assert all(panel.bbox.x0 <= box.x0 and box.x1 <= panel.bbox.x1 for box in boxes)
        numbers = [text.get_text() for text in panel.texts]
        assert set(numbers) == {"2", "3", "5", "10", "20"}
        assert len(numbers) >= 16, (
            f"{place}: most of the 20 points of the rule and of holding have room for their number"
        )


def test_a_point_without_error_is_left_out(files):
    points = points_of(files, timing=False)
    points.loc[(points["series"] == LABELS[RULE]) & (points["interval"] == 2), "psnr_mean_db"] = math.inf
    panel = panels(draw_pareto("Title", points))[0, 0]
    assert [len(line.get_xydata()) for line in panel.lines if line.get_color() == LOOKS[RULE]["color"]] == [4, 4]


def test_a_wide_range_of_fid_is_logarithmic(files):
    points = points_of(files)
    assert panels(draw_pareto("Title", points))[2, 0].get_yscale() == "linear"
    points.loc[(points["series"] == LABELS[HOLD]) & (points["interval"] == 20), "fid"] = 900.0
    assert panels(draw_pareto("Title", points))[2, 0].get_yscale() == "log"


def test_series_differ_in_grey():
    greys = sorted(
        sum(x * y for x, y in zip((0.3, 0.59, 0.11), to_rgb(look["color"]), strict=True)) for look in LOOKS.values()
    )
    assert all(later - earlier > 0.1 for earlier, later in pairwise(greys))
    assert len({look["marker"] for look in LOOKS.values()}) == len(LOOKS)


def test_nothing_to_draw_is_refused(files):
    points = points_of(files)
    with pytest.raises(DeepCacheError, match="nothing to draw"):
        draw_pareto("Title", points[points["series"] == "uncached"])


def test_damaged_times_are_named(tmp_path):
    with pytest.raises(DeepCacheError, match=r"timing\.json: not readable times"):
        read_timing([write(tmp_path / "timing.json", {})])


def test_the_program_draws_the_same_bytes_as_the_function(files, tmp_path):
    output = tmp_path / "fig_pareto.png"
    command = [
        sys.executable,
        "workflow/scripts/beyond/pareto.py",
        "--sweeps",
        *files["sweeps"],
        "--timing",
        *files["timing"],
    ]
    command += ["--macs", *(f"{model}={path}" for model, path in files["macs"].items()), "--title", "Title"]
    done = subprocess.run([*map(str, command), "--output", str(output)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    save(draw_pareto("Title", points_of(files)), tmp_path / "own.png")
    assert output.read_bytes() == (tmp_path / "own.png").read_bytes()
