"""Figure 2 of the paper: features at adjacent steps, their similarity between all steps, how many are similar."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deepcache.figures.style import plt, set_title
from deepcache.quality.feature_similarity import similar_share

ADJACENT = 3  # maps that are shown, from the middle of the trajectory
COLOURS = "viridis"  # its lightness rises evenly, so that it reads in grey as well


@dataclass(frozen=True)
class Recorded:
    """What was recorded of one model.

    Attributes:
        label: of the model and its layer.
        matrix: similarity of all steps, shape (T, T).
        maps: mean over channels at each step, shape (T, H, W).
    """

    label: str
    matrix: np.ndarray
    maps: np.ndarray


def draw_similarity(title: str, models: Sequence[Recorded], threshold: float) -> Figure:
    """A row for each model: feature maps, heat map, and the share of steps above the threshold."""
    figure, axes = plt.subplots(
        len(models),
        ADJACENT + 2,
        figsize=(12, 2.6 * len(models) + 0.6),
        squeeze=False,
        layout="constrained",
        width_ratios=[1] * ADJACENT + [1.4, 1.4],
    )
    for model, row in zip(models, axes, strict=True):
        _draw_maps(row[:ADJACENT], model)
        _draw_matrix(figure, row[-2], model.matrix)
        _draw_share(row[-1], model.matrix, threshold)
    set_title(figure, title)
    return figure


def _draw_maps(row, model: Recorded) -> None:
    first = max(0, (len(model.maps) - ADJACENT) // 2)
    shown = model.maps[first : first + ADJACENT]
    for axes in row[len(shown) :]:
        axes.axis("off")
    for i, (axes, image) in enumerate(zip(row, shown, strict=False)):
        axes.imshow(image, vmin=shown.min(), vmax=shown.max(), cmap=COLOURS, interpolation="nearest")
        axes.set(xticks=[], yticks=[], title=f"step {first + i}")
    row[0].set_ylabel(model.label)


def _draw_matrix(figure: Figure, axes, matrix: np.ndarray) -> None:
    drawn = axes.imshow(matrix, vmax=1, cmap=COLOURS, interpolation="nearest")
    axes.set(title="cosine similarity", xlabel="step", ylabel="step")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(drawn, ax=axes)


def _draw_share(axes, matrix: np.ndarray, threshold: float) -> None:
    axes.plot(100 * similar_share(matrix, threshold), color="C0")
    axes.set(
        title=f"steps with similarity above {threshold:g}", xlabel="step", ylabel="% of the other steps", ylim=(0, 100)
    )
    axes.grid(color="0.9")
