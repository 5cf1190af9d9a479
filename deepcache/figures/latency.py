"""Measured speed-up against what the MACs promise."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepcache.errors import DeepCacheError
from deepcache.figures.style import add_legend, plt, set_title

ACROSS = 4  # panels side by side
LOOKS = {
    ("ours", "eager"): ("ours", {"color": "#12355b", "marker": "o"}),
    ("ours", "replay"): ("ours, replayed", {"color": "#7b4ea3", "marker": "^"}),
    ("ours", "compile_shallow"): ("ours, shallow pass compiled", {"color": "#d1495b", "marker": "v"}),
    ("ours", "graph_shallow"): ("ours, shallow pass compiled, replayed", {"color": "#edae49", "marker": "P"}),
    ("ours", "compile"): ("ours, compiled", {"color": "#5fa8d3", "marker": "s"}),
    ("ours", "graph"): ("ours, compiled, replayed", {"color": "#2a9d6f", "marker": "D"}),
    ("pip_deepcache", "eager"): ("authors' plug-in", {"color": "#b85c12", "marker": "x"}),
}


def draw_speed(title: str, table: pd.DataFrame) -> Figure:
    """A panel for each model, input and batch: speed-up against the ratio of MACs, with the line where they are equal.

    Args:
        title: above the picture.
        table: see deepcache.results.latency; a line reaches from the smallest to the largest repetition.

    Raises:
        DeepCacheError: if no row is of caching.
    """
    table = table[(table["implementation"] != "full") & (table["reuse"] == "hold")]
    if not len(table):
        raise DeepCacheError("no speed of caching was measured, so there is nothing to draw")
    places = list(table.groupby(["model", "latent", "batch", "channels_last"], sort=False))
    across = min(ACROSS, len(places))
    down = math.ceil(len(places) / across)
    figure, panels = plt.subplots(
        down, across, figsize=(max(4.5, 3.4 * across), 3.2 * down + 1), layout="constrained", squeeze=False
    )
    for panel in panels.flat[len(places) :]:
        panel.remove()
    for ((model, latent, batch, last), rows), panel in zip(places, panels.flat, strict=False):
        _draw_panel(panel, rows)
        panel.set_title(f"{model}, {latent}, batch {batch}" + ("\nchannels last" if last else ""))
    handles = {}
    for panel in figure.axes:
        handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    add_legend(figure, handles)
    set_title(figure, title)
    return figure


def _draw_panel(panel: Axes, rows: pd.DataFrame) -> None:
    """One model, input and batch."""
    far = 1.06 * max(rows["macs_ratio"].max(), rows["speedup_high"].max())
    panel.plot([1, far], [1, far], color="0.6", linestyle="--", linewidth=0.9, label="what the MACs promise")
    for (implementation, mode), (label, look) in LOOKS.items():
        found = rows[(rows["implementation"] == implementation) & (rows["mode"] == mode)].sort_values("macs_ratio")
        if len(found):
            low, high = found["speedup"] - found["speedup_low"], found["speedup_high"] - found["speedup"]
            panel.errorbar(
                found["macs_ratio"],
                found["speedup"],
                yerr=[low, high],
                label=label,
                markersize=5,
                linewidth=1,
                **look,
            )
    _write_intervals(panel, rows)
    panel.set(xlabel="MACs ratio", ylabel="times faster", xlim=(1, far), ylim=(1, far))
    panel.grid(color="0.9")


def _write_intervals(panel: Axes, rows: pd.DataFrame) -> None:
    """N of each interval, upright on the lower axis at its ratio of MACs."""
    for row in rows.drop_duplicates("interval").itertuples():
        panel.annotate(
            f"N={row.interval}",
            (row.macs_ratio, 1),
            (0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
            rotation=90,
            fontsize=7,
            color="0.4",
        )
