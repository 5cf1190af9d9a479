"""The style that every figure shares."""

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from deepcache.files import atomic

CHARACTERS = 12  # of a title, in an inch

# Titles, labels and prompts are text: a pair of dollar signs in them is no formula.
plt.rcParams.update({"text.parse_math": False})
plt.rcParams.update({"font.size": 9, "axes.titlesize": 10, "savefig.dpi": 150, "image.cmap": "gray"})


def set_title(figure: Figure, title: str) -> None:
    """Write a title above a figure, in as many lines as its width asks for."""
    figure.suptitle(textwrap.fill(title, max(20, int(CHARACTERS * figure.get_figwidth()))), fontsize=10)


def add_legend(figure: Figure, drawn: Mapping[str, Artist]) -> None:
    """Write a legend below the panels, by label what is drawn, in as few rows of equal length as the width allows."""
    for rows in range(1, len(drawn) + 1):
        columns = math.ceil(len(drawn) / rows)
        legend = figure.legend(drawn.values(), drawn.keys(), loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent(figure.canvas.get_renderer()).width <= figure.bbox.width:
            return
        legend.remove()


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure, whole or not at all, and close it."""
    with atomic(path) as temporary:
        # Without the version of matplotlib in the file, the same picture has the same bytes.
        figure.savefig(temporary, metadata={"Software": None} if Path(path).suffix == ".png" else None)
    plt.close(figure)
