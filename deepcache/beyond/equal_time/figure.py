"""What is lost at a speed, method by method."""

import pandas as pd
from matplotlib.figure import Figure

from deepcache.beyond.equal_time.markdown import TITLES
from deepcache.beyond.equal_time.methods import TUNED
from deepcache.errors import DeepCacheError
from deepcache.figures.style import add_legend, plt, set_title

# The greys that the colours turn into differ too.
LOOKS = {
    "fewer_steps": {"color": "#444444", "marker": "x"},
    "hold": {"color": "#b85c12", "marker": "o"},
    "forecast": {"color": "#5fa8d3", "marker": "^"},
    "token_merging": {"color": "#999999", "marker": "+"},
    "tgate": {"color": "#777777", "marker": "*"},
    "whole_output_hold": {"color": "#d9a441", "marker": "s", "linestyle": "--"},
    "whole_output_forecast": {"color": "#7aa67a", "marker": "v", "linestyle": "--"},
    TUNED: {"color": "#12355b", "marker": "D", "linewidth": 2},
}


def draw_budget(title: str, table: pd.DataFrame) -> Figure:
    """A panel for each model: error against measured speed, bars for the 95 % interval over images.

    Args:
        title: above the picture.
        table: see `build_budget_table`.

    Raises:
        DeepCacheError: if no method reaches any speed.
    """
    points = table.dropna(subset=["error_db"])
    if points.empty:
        raise DeepCacheError("no method reaches any of these speeds, so there is nothing to draw")
    models = list(dict.fromkeys(points["model"]))
    figure = plt.figure(figsize=(max(5.5, 4.2 * len(models)), 4.8), layout="constrained")
    panels = figure.subplots(1, len(models), squeeze=False)[0]
    for panel, model in zip(panels, models, strict=True):
        for method, look in LOOKS.items():
            rows = points[(points["model"] == model) & (points["method"] == method)].sort_values("speed")
            if len(rows):
                error = rows["error_db"]
                bars = [error - rows["error_low"], rows["error_high"] - error]
                panel.errorbar(
                    rows["speed"],
                    error,
                    yerr=bars,
                    label=TITLES[method],
                    markersize=5,
                    elinewidth=0.8,
                    **{"linewidth": 1.2, **look},
                )
        panel.set(title=model, xlabel="times faster than the usual steps, measured", xscale="log")
        ticks = sorted(set(points["target_speed"]))
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
        panel.grid(color="0.9")
    panels[0].set_ylabel("PSNR to the converged images, dB")
    drawn = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    add_legend(figure, {TITLES[method]: drawn[TITLES[method]] for method in LOOKS if TITLES[method] in drawn})
    set_title(figure, title)
    return figure
