"""What is lost for what is saved: error and score against MACs and measured speed, beside the paper's."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogFormatter
from matplotlib.transforms import Bbox

from deepcache.beyond.comparison.sweeps import EQ7, HOLD, RULE, UNCACHED, Sweep
from deepcache.cost.speed_up import speed_up
from deepcache.errors import DeepCacheError
from deepcache.figures.style import add_legend, plt, set_title
from deepcache.files import UNREADABLE
from deepcache.methods.method import Method

FORECAST = ("uniform", "forecast1")
LABELS = {
    UNCACHED: "uncached",
    HOLD: "uniform, hold (paper)",
    EQ7: "Eq. 7, hold (paper)",
    FORECAST: "uniform, forecast of order 1",
    RULE: "the rule (ours)",
}
# The methods that are timed; Eq. 7 is not: it has as many full steps as uniform holding.
TIMED = {
    UNCACHED: {"interval": 1},
    HOLD: {"schedule": "uniform"},
    FORECAST: {"schedule": "uniform", "reuse": "forecast1"},
    RULE: {"schedule": "chosen"},
}
# The greys that the colours turn into differ too.
LOOKS = {
    HOLD: {"color": "#b85c12", "marker": "o"},
    EQ7: {"color": "#b9b9b9", "marker": "s"},
    FORECAST: {"color": "#5fa8d3", "marker": "^"},
    RULE: {"color": "#12355b", "marker": "D", "linewidth": 2},
}
BRANCHES = (("solid", "filled"), ("dashed", "hollow"), ("dotted", "hollow"))  # lines and points of a model's branches
ROWS = (("macs_g", "psnr_mean_db"), ("speed", "psnr_mean_db"), ("speed", "score"))
AXES = {
    "macs_g": "MACs of a step, G",
    "speed": "times faster than uncached",
    "psnr_mean_db": "PSNR to the uncached images, dB",
    "fid": "FID (lower is better)",
    "clip_score": "CLIP score (higher is better)",
}
UNNUMBERED = (EQ7, FORECAST)  # their points do not bear N: at equal N they lie between holding and the rule
AROUND = [(0, 7), (0, -7), (8, 0), (-8, 0), (7, 6), (-7, 6), (7, -6), (-7, -6), (0, 12), (0, -12)]  # points
MARKER = 2.5  # points, half a marker's width
WIDE = 10  # ratio of the largest to the smallest FID, from which on the axis is logarithmic


def read_timing(files: Iterable[Path]) -> dict[str, dict]:
    """What time_models.py timed, from all its files: model/sampler/method -> its `seconds`, among others.

    Raises:
        DeepCacheError: if a file is damaged.
    """
    found = {}
    for path in files:
        try:
            found |= json.loads(path.read_text(encoding="utf-8"))["variants"]
        except (*UNREADABLE, TypeError) as error:
            raise DeepCacheError(f"{path}: not readable times ({error}); delete it and run again") from error
    return found


def pareto_points(sweeps: Sequence[Sweep], table: pd.DataFrame, timed: Mapping[str, Mapping]) -> pd.DataFrame:
    """What is drawn, a row for each point.

    Args:
        sweeps: see deepcache.beyond.comparison.sweeps.read_sweeps.
        table: of the same sweeps, see build_beyond_table.
        timed: see `read_timing`.

    Returns:
        Columns `model`, `series` (one of LABELS), `branch` (-1 where nothing is cached), `interval` (1 where nothing is
        cached), `macs_g`, `psnr_mean_db` (infinite where there is no error), `speed` (times faster than without
        caching, the median over the interleaved repetitions), `fid`, `clip_score`.
    """
    samplers = {sweep.place[0]: sweep.content["sampler"] for sweep in sweeps}
    rows = []
    for row in table.itertuples():
        method = row.schedule, row.reuse
        if method not in LABELS:
            continue
        run = f"{row.model}/{samplers[row.model]}"
        named = {"interval": row.interval, "branch": row.branch}
        slug = Method.from_mapping({**named, **TIMED[method]}).slug if method in TIMED else None
        rows.append(
            {
                "model": row.model,
                "series": LABELS[method],
                "branch": -1 if method == UNCACHED else row.branch,
                "interval": 1 if method == UNCACHED else row.interval,
                "macs_g": row.macs_g,
                "psnr_mean_db": math.inf if pd.isna(row.psnr_mean_db) else row.psnr_mean_db,
                "speed": _speed(timed, f"{run}/{Method().slug}", f"{run}/{slug}"),
                "fid": row.fid,
                "clip_score": row.clip_score,
            }
        )
    points = pd.DataFrame(rows)
    numbers = ["macs_g", "psnr_mean_db", "speed", "fid", "clip_score"]
    return points.astype(dict.fromkeys(numbers, float))


def _speed(timed: Mapping[str, Mapping], uncached: str, variant: str) -> float | None:
    if uncached not in timed or variant not in timed:
        return None
    return speed_up(timed[uncached]["seconds"], timed[variant]["seconds"])


def draw_pareto(title: str, points: pd.DataFrame) -> Figure:
    """A column for each model: PSNR against MACs, PSNR against speed, CLIP score (else FID) against speed.

    What has no values has no panel. Infinite PSNR is left out. The points of the rule and of holding bear their N where
    there is room.

    Args:
        title: above the picture.
        points: see `pareto_points`.

    Raises:
        DeepCacheError: if there is nothing to draw.
    """
    models = list(dict.fromkeys(points["model"]))
    uncached = points[points["series"] == LABELS[UNCACHED]].drop_duplicates("model").set_index("model")
    wanted = {key: drawn for model in models for key, drawn in _choose(model, points).items()}
    if not wanted:
        raise DeepCacheError("the sweeps have no method with an error, so there is nothing to draw")
    kept = sorted({row for _, row in wanted})
    figure = plt.figure(figsize=(max(5.0, 4.2 * len(models)), 3.3 * len(kept) + 1.2), layout="constrained")
    grid = figure.add_gridspec(len(kept), len(models))
    looks = {LABELS[method]: look for method, look in LOOKS.items()}
    panels = []
    for column, model in enumerate(models):
        branches = sorted(set(points[points["model"] == model]["branch"]) - {-1})
        for line, row in enumerate(kept):
            if (model, row) not in wanted:
                continue
            drawn, x, y = wanted[model, row]
            panel = figure.add_subplot(grid[line, column])
            _draw(panel, drawn, x, y, branches, looks)
            if y != "psnr_mean_db" and model in uncached.index:
                panel.axhline(
                    uncached.loc[model, y], label=LABELS[UNCACHED], color="0.4", linestyle="-.", linewidth=0.8
                )
            panel.set_title(f"{model}\n{_describe(branches)}" if line == 0 else "")
            panels.append((panel, drawn, x, y))
    lines = {line.get_label(): line for panel, *_ in panels for line in panel.lines}
    add_legend(figure, {label: lines[label] for label in (*looks, LABELS[UNCACHED]) if label in lines})
    set_title(figure, title)
    figure.draw_without_rendering()  # the labels need the final places of the points
    for panel, drawn, x, y in panels:
        _number(panel, drawn, x, y, looks)
    return figure


def _choose(model: str, points: pd.DataFrame) -> dict[tuple[str, int], tuple[pd.DataFrame, str, str]]:
    """A model's panels that have values: model and row -> what is drawn, and the columns of its axes."""
    points = points[(points["model"] == model) & (points["series"] != LABELS[UNCACHED])].replace(math.inf, math.nan)
    score = "clip_score" if points["clip_score"].notna().any() else "fid"
    axes = [(x, score if y == "score" else y) for x, y in ROWS]
    found = {(model, row): (points.dropna(subset=[x, y]), x, y) for row, (x, y) in enumerate(axes)}
    return {key: panel for key, panel in found.items() if len(panel[0])}


def _describe(branches: Sequence[int]) -> str:
    """Which lines and points are which branch's."""
    return "; ".join(f"branch {branch}: {', '.join(look)}" for branch, look in zip(branches, BRANCHES, strict=False))


def _draw(panel, points: pd.DataFrame, x: str, y: str, branches: Sequence[int], looks: Mapping) -> None:
    """Lines in the order of the legend, each branch's apart."""
    for series, look in looks.items():
        for branch, rows in points[points["series"] == series].groupby("branch"):
            rows = rows.sort_values(x)
            line, filling = BRANCHES[branches.index(branch) % len(BRANCHES)]
            panel.plot(
                rows[x],
                rows[y],
                label=series if filling == "filled" else None,
                markersize=2 * MARKER,
                linestyle=line,
                markerfacecolor=look["color"] if filling == "filled" else "white",
                **{"linewidth": 1.2, **look},
            )
    panel.set(xlabel=AXES[x], ylabel=AXES[y])
    values = points[y]
    if y == "fid" and values.min() > 0 and values.max() > WIDE * values.min():
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(LogFormatter())  # the others write formulas
        panel.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False))
    panel.margins(0.12)
    panel.locator_params(axis="x", nbins=6)
    panel.grid(color="0.9")


def _number(panel, points: pd.DataFrame, x: str, y: str, looks: Mapping) -> None:
    """Write N beside the points, where it covers neither a point nor another number; else not."""
    scale = panel.figure.dpi / 72
    renderer = panel.figure.canvas.get_renderer()
    places = panel.transData.transform(points[[x, y]].to_numpy())
    taken = [Bbox.from_extents(*(place - MARKER * scale), *(place + MARKER * scale)) for place in places]
    order = {LABELS[RULE]: 0, LABELS[HOLD]: 1}
    hidden = [LABELS[method] for method in UNNUMBERED]
    points = points[~points["series"].isin(hidden)].assign(order=lambda rows: rows["series"].map(order))
    for row in points.sort_values(["order", "branch", x], kind="stable").itertuples():
        note = panel.annotate(
            f"{row.interval}",
            (getattr(row, x), getattr(row, y)),
            textcoords="offset points",
            xytext=AROUND[0],
            ha="center",
            va="center",
            fontsize=7,
            color=looks[row.series]["color"],
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )
        note.set_in_layout(False)
        for offset in AROUND:
            note.xyann = offset
            box = note.get_window_extent(renderer).padded(0.5 * scale)
            inside = panel.bbox.containsx(box.x0) and panel.bbox.containsx(box.x1)
            inside = inside and panel.bbox.containsy(box.y0) and panel.bbox.containsy(box.y1)
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
        else:
            note.remove()
