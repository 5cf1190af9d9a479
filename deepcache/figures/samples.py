"""Samples of several methods, one row each, the same noise in each column."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from deepcache.figures.style import plt


def draw_sample_grid(title: str, rows: Sequence[tuple[str, np.ndarray]]) -> Figure:
    """Draw rows of images.

    Args:
        title: above the picture.
        rows: (label, uint8 images of shape (N, H, W, C)), the same N in each.
    """
    count = len(rows[0][1])
    figure, axes = plt.subplots(
        len(rows), count, figsize=(0.62 * count + 1.6, 0.62 * len(rows) + 0.5), squeeze=False, layout="constrained"
    )
    for (label, images), line in zip(rows, axes, strict=True):
        for image, one in zip(images, line, strict=True):
            one.imshow(image.squeeze(), vmin=0, vmax=255, interpolation="nearest")
            one.set_xticks([])
            one.set_yticks([])
        line[0].set_ylabel(label, rotation=0, ha="right", va="center")
    figure.suptitle(title, fontsize=10)
    return figure
