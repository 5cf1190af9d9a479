"""Measured speed-up against what the MACs promise."""

import pandas as pd
from matplotlib.figure import Figure

from deepcache.errors import DeepCacheError
from deepcache.figures.style import plt, set_title

LOOKS = {
    ("ours", "eager"): ("ours", {"color": "#12355b", "marker": "o"}),
    ("ours", "compile"): ("ours, compiled", {"color": "#5fa8d3", "marker": "s"}),
    ("ours", "graph"): ("ours, compiled, CUDA graphs", {"color": "#2a9d6f", "marker": "D"}),
    ("pip_deepcache", "eager"): ("authors' plug-in", {"color": "#b85c12", "marker": "x"}),
}


def draw_speed(title: str, table: pd.DataFrame) -> Figure:
    """A panel for each model and batch: speed-up against the ratio of MACs, with the line where both are the same.

    Args:
        title: above the picture.
        table: see deepcache.results.speed; a line reaches from the smallest to the largest repetition.

    Raises:
        DeepCacheError: if no row is of caching.
    """
    table = table[(table["implementation"] != "full") & (table["reuse"] == "hold")]
    if not len(table):
        raise DeepCacheError("no speed of caching was measured, so there is nothing to draw")
    models, batches = (list(dict.fromkeys(table[name])) for name in ("model", "batch"))
    figure, panels = plt.subplots(
        len(batches),
        len(models),
        figsize=(max(4.5, 3.4 * len(models)), 3.2 * len(batches) + 1),
        layout="constrained",
        squeeze=False,
    )
    for (model, batch), panel in zip(((m, b) for b in batches for m in models), panels.flat, strict=True):
        rows = table[(table["model"] == model) & (table["batch"] == batch)]
        if not len(rows):
            panel.remove()
            continue
        far = 1.06 * max(rows["macs_ratio"].max(), rows["speedup_high"].max())
        panel.plot([1, far], [1, far], color="0.6", linestyle="--", linewidth=0.9, label="what the MACs promise")
        for way, (label, look) in LOOKS.items():
            found = rows[(rows["implementation"] == way[0]) & (rows["mode"] == way[1])].sort_values("macs_ratio")
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
        for row in rows.drop_duplicates("interval").itertuples():
            panel.annotate(
                f"N={row.interval}", (row.macs_ratio, 1), ha="center", va="bottom", rotation=90, fontsize=7, color="0.4"
            )
        panel.set(
            title=f"{model}, batch {batch}", xlabel="MACs ratio", ylabel="times faster", xlim=(1, far), ylim=(1, far)
        )
        panel.grid(color="0.9")
    handles = {}
    for panel in figure.axes:
        handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
    set_title(figure, title)
    return figure
