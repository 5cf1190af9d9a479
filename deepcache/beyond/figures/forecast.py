"""The path that a feature takes over the steps, and how what is missed of it adds up in the image or cancels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from deepcache.beyond.calibration.polynomial import polynomial_weights
from deepcache.beyond.calibration.recorded import Recorded
from deepcache.beyond.calibration.rows import Rows
from deepcache.caching.plan import Plan
from deepcache.errors import DeepCacheError
from deepcache.figures.style import plt, set_title


@dataclass(frozen=True)
class Path2D:
    """A feature's path in the plane in which it moves most.

    Attributes:
        x: coordinate of each step, shape (T,), in units of the feature's root mean square.
        y: the same across.
        share: of the whole movement's square that the plane shows, 0 to 1.
    """

    x: np.ndarray
    y: np.ndarray
    share: float


def principal_path(gram: np.ndarray) -> Path2D:
    """The two largest principal components of a feature over the steps, out of its Gram matrix, shape (T, T)."""
    centred = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    values, vectors = np.linalg.eigh(centred)
    scale = np.sqrt(gram.diagonal().mean())
    x, y = (vectors[:, -i] * np.sqrt(max(values[-i], 0)) / scale for i in (1, 2))
    return Path2D(x, y, float(values[-2:].sum() / np.maximum(values, 0).sum()))


def summed_errors(rows: Rows, weights: Mapping[int, Mapping[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Error of the image by what is missed up to each step, root mean square on the scale of 0 to 255, shape (T,).

    Args:
        rows: of some images.
        weights: for each shallow step, full step -> weight of its feature.

    Returns:
        As it is, with what cancels between steps; and as if nothing did: the root of the sum of squares.
    """
    errors = np.zeros((len(rows.products), rows.num_steps))
    for step, of in weights.items():
        errors[:, step] = rows.errors({step: of})
    together = np.square(errors.cumsum(1)).mean(0)
    apart = np.square(errors).mean(0).cumsum()
    return np.sqrt(together / rows.elements), np.sqrt(apart / rows.elements)


@dataclass(frozen=True)
class Column:
    """What is drawn of a model.

    Attributes:
        label: above.
        full_steps: uniform ones.
        recorded: of its branch.
        plan: of that branch, with as many full steps.
    """

    label: str
    full_steps: tuple[int, ...]
    recorded: Recorded
    plan: Plan

    def ways(self) -> dict[str, Mapping[int, Mapping[int, float]]]:
        """By name, for each shallow step, full step -> weight of its feature.

        Raises:
            DeepCacheError: if plan and recording have another number of steps.
        """
        steps = self.recorded.rows.num_steps
        if self.plan.num_steps != steps:
            raise DeepCacheError(f"{self.label}: the plan has {self.plan.num_steps} steps, the recording {steps}")
        held, line = (polynomial_weights(self.full_steps, steps, order) for order in (0, 1))
        return {"held, uniform": held, "line, uniform": line, "the plan": self.plan.weights}


def draw_forecast(title: str, columns: Sequence[Column]) -> Figure:
    """A column for each model: above the path, below how errors add up over the steps."""
    size = (3.6 * len(columns), 6.4)
    figure, axes = plt.subplots(2, len(columns), figsize=size, squeeze=False, layout="constrained")
    for column, (above, below) in zip(columns, axes.T, strict=True):
        path = principal_path(column.recorded.gram)
        above.plot(path.x, path.y, color="0.6", linewidth=1, marker=".", markersize=3, label="every step")
        full = list(column.full_steps)
        above.plot(path.x[full], path.y[full], "o", color="C0", markersize=5, label="full steps")
        above.margins(0.15)
        for name, step in (("first", 0), ("last", -1)):
            place = path.x[step], path.y[step]
            above.annotate(name, place, textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
        above.set(
            title=f"{column.label}\n{100 * path.share:.0f} % of the movement lies in this plane", xlabel="1st component"
        )
        above.set_ylabel("2nd component")
        for i, (name, weights) in enumerate(column.ways().items()):
            together, apart = summed_errors(column.recorded.rows, weights)
            first = int(np.flatnonzero(apart)[0])
            steps = np.arange(first, len(apart))
            below.semilogy(steps, together[first:], color=f"C{i}", linewidth=1.5, label=name)
            below.semilogy(steps, apart[first:], ":", color=f"C{i}", linewidth=1.3)
        below.plot([], [], ":", color="0.4", label="if nothing cancelled")
        below.yaxis.set_major_formatter(LogFormatter())
        below.set(xlabel="up to step", ylabel="error of the image, of 255 levels")
        for panel in (above, below):
            panel.grid(color="0.9")
    axes[0, 0].legend(fontsize=8)
    axes[1, 0].legend(fontsize=8)
    set_title(figure, title)
    return figure
