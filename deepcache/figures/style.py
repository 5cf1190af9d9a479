"""The style that every figure shares."""

import textwrap
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from deepcache.files import atomic

CHARACTERS = 12  # of a title, in an inch

# Titles, labels and prompts are text: a pair of dollar signs in them is no formula.
plt.rcParams.update({"text.parse_math": False})
plt.rcParams.update({"font.size": 9, "axes.titlesize": 10, "savefig.dpi": 150, "image.cmap": "gray"})


def set_title(figure: Figure, title: str) -> None:
    """Write a title above a figure, in as many lines as its width asks for."""
    figure.suptitle(textwrap.fill(title, max(20, int(CHARACTERS * figure.get_figwidth()))), fontsize=10)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure, whole or not at all, and close it."""
    with atomic(path) as temporary:
        # Without the version of matplotlib in the file, the same picture has the same bytes.
        figure.savefig(temporary, metadata={"Software": None} if Path(path).suffix == ".png" else None)
    plt.close(figure)
