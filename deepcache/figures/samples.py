"""Samples of several methods side by side, made from the same noise."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from deepcache.figures.style import plt, set_title

LARGE = 128  # pixels: from here on images are drawn larger
PROMPT_WIDTH, PROMPT_LINES = 26, 4


@dataclass(frozen=True)
class Samples:
    """What one method made.

    Attributes:
        label: of the method.
        images: uint8, shape (N, H, W, C).
        caption: stands below the method's images; for example the time that one takes.
    """

    label: str
    images: np.ndarray
    caption: str = ""


def draw_rows(title: str, methods: Sequence[Samples]) -> Figure:
    """A row for each method, the same noise in each column; every method has as many images."""
    count = len(methods[0].images)
    figure, axes = _grid(len(methods), count, 0.62 * count + 1.6, 0.62 * len(methods) + 0.5)
    for method, line in zip(methods, axes, strict=True):
        for image, one in zip(method.images, line, strict=True):
            _show(one, image)
        line[0].set_ylabel(method.label, rotation=0, ha="right", va="center")
    set_title(figure, title)
    return figure


def draw_columns(title: str, methods: Sequence[Samples], prompts: Sequence[str] | Sequence[np.ndarray]) -> Figure:
    """A column for each method with its caption below, a row for each image with its prompt on the left.

    Prompts are texts, or pictures, uint8, shape (H, W, 3), of any size, which have a column of their own.
    """
    height, width = methods[0].images.shape[1:3]
    side = 1.6 if height >= LARGE else 0.95
    count, pictured = len(methods[0].images), isinstance(prompts[0], np.ndarray)
    columns = len(methods) + pictured
    figure, axes = _grid(count, columns, side * columns + 1.9, side * height / width * count + 1.1)
    for method, line in zip(methods, axes.T[pictured:], strict=True):
        for image, one in zip(method.images, line, strict=True):
            _show(one, image)
        line[0].set_title(method.label, fontsize=9)
        line[-1].set_xlabel(method.caption, fontsize=8)
    for prompt, line in zip(prompts, axes, strict=True):
        if pictured:
            _show(line[0], prompt)
            line[0].set_anchor("N")
            continue
        lines = textwrap.wrap(prompt, PROMPT_WIDTH, max_lines=PROMPT_LINES, placeholder=" ...")
        line[0].set_ylabel("\n".join(lines), rotation=0, ha="right", va="center", fontsize=8)
    set_title(figure, title)
    return figure


def _grid(rows: int, columns: int, width: float, height: float):
    return plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")


def _show(axes, image: np.ndarray) -> None:
    axes.imshow(image.squeeze(), vmin=0, vmax=255, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
