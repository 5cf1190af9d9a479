"""Whether caching makes the images of one prompt more alike: the images themselves, and the metrics of diversity."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepcache.figures.style import plt, set_title
from deepcache.methods.method import Method
from deepcache.results.diversity import UNCACHED

PANELS = {
    "pairwise_lpips": "LPIPS between two seeds",
    "pixel_mse": "squared difference of pixels",
    "clip_variance": "variance of the CLIP score",
}
SIDE, GAP = 0.62, 0.25  # inches, of an image and between the prompts
CHARACTERS = 9  # of a prompt, in an inch
SHORT = 8  # characters, up to which the labels of the axes have room side by side
SLANTED = {"rotation": 20, "ha": "right", "rotation_mode": "anchor"}


@dataclass(frozen=True)
class Compared:
    """One model's methods.

    Attributes:
        name: of the model, with its sampler.
        table: a row for each method: see deepcache.results.diversity.build_diversity_table.
        images: uint8, shape (methods, prompts, seeds, H, W, C).
        prompts: those that are shown.
    """

    name: str
    table: pd.DataFrame
    images: np.ndarray
    prompts: Sequence[str]

    @property
    def labels(self) -> list[str]:
        """A label for each method, with its skip branch where that tells it from others."""
        methods = [Method.parse(slug) for slug in self.table["method"]]
        short = [method.label for method in methods]
        return [
            label if short.count(label) == 1 else f"{label}, skip branch {method.branch + 1}"
            for label, method in zip(short, methods, strict=True)
        ]


def draw_diversity(title: str, models: Sequence[Compared]) -> Figure:
    """For each model the seeds of a few prompts, a row for each method, and below them a panel for each metric."""
    columns = max(model.images.shape[1] * (SIDE * model.images.shape[2] + GAP) for model in models)
    heights = [height for model in models for height in (SIDE * len(model.table) + 0.9, 2.6)]
    figure = plt.figure(figsize=(max(8.0, columns + 1), sum(heights) + 0.5), layout="constrained")
    parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for model, grid, panels in zip(models, parts[::2], parts[1::2], strict=True):
        _draw_images(grid, model)
        _draw_metrics(panels, model)
    set_title(figure, title)
    return figure


def _draw_images(figure, model: Compared) -> None:
    """A block for each prompt with its seeds in columns; narrow empty columns part the blocks."""
    methods, prompts, seeds = model.images.shape[:3]
    figure.suptitle(model.name, fontsize=9)
    ratios = ([SIDE] * seeds + [GAP]) * prompts
    axes = figure.subplots(methods, len(ratios) - 1, squeeze=False, gridspec_kw={"width_ratios": ratios[:-1]})
    for one in axes.flat:
        one.set(xticks=[], yticks=[])
        one.spines[:].set_visible(False)
    for method, prompt, seed in np.ndindex(methods, prompts, seeds):
        place = axes[method, prompt * (seeds + 1) + seed]
        place.imshow(model.images[method, prompt, seed].squeeze(), vmin=0, vmax=255, interpolation="nearest")
    for label, row in zip(model.labels, axes, strict=True):
        row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    wide = max(12, int(CHARACTERS * SIDE * seeds))
    for prompt, block in zip(model.prompts, axes[0, :: seeds + 1], strict=True):
        block.set_title(textwrap.fill(prompt, wide, max_lines=2, placeholder=" ..."), fontsize=8, loc="left")


def _draw_metrics(figure, model: Compared) -> None:
    """Means by method; bars are the intervals of the change, so one that misses the dashed line is a difference."""
    places, without = range(len(model.table)), model.table["method"].tolist().index(UNCACHED)
    for axes, (metric, label) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        means, change, low, high = (
            model.table[f"{metric}{ending}"].astype(float).to_numpy()
            for ending in ("", "_change", "_change_low", "_change_high")
        )
        axes.axhline(means[without], color="0.4", linestyle="--", linewidth=0.8)
        # Without caching there is no change, and no bar.
        bars = np.nan_to_num([change - low, high - change])
        axes.errorbar(places, means, bars, color="C0", marker="o", markersize=4, linestyle="", elinewidth=1, capsize=3)
        axes.set(title=label, xticks=places, xlim=(-0.5, len(model.labels) - 0.5))
        axes.set_xticklabels(model.labels, **SLANTED if max(map(len, model.labels)) > SHORT else {})
        axes.grid(axis="y", color="0.9")
        axes.margins(y=0.15)
    explained = "below the dashed line, that of no caching: more alike; bars: 95 % interval of the change, over prompts"
    figure.supxlabel(explained, fontsize=8)
