"""The path that a feature takes over the steps, and how what is missed of it adds up in the image or cancels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from deepcache.beyond.calibration.joint import Terms
from deepcache.beyond.calibration.polynomial import polynomial_weights
from deepcache.beyond.calibration.recorded import Recorded
from deepcache.beyond.calibration.rows import Rows
from deepcache.caching.schedules import uniform
from deepcache.figures.style import plt, set_title

JOINT = (2, 1.0)  # order and trust of the weights that are drawn


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


def ways(rows: Rows, full_steps: Sequence[int]) -> dict[str, tuple[Mapping, Rows]]:
    """By name, weights at a schedule and the rows that they are judged on: images that they were not fitted on."""
    fitted, judged = rows.halves()
    others = Rows(rows.products[judged], rows.images[judged], rows.elements)
    terms = Terms.of(rows, full_steps, JOINT[0])
    return {
        "held": (polynomial_weights(full_steps, rows.num_steps, 0), others),
        "line": (polynomial_weights(full_steps, rows.num_steps, 1), others),
        "joint weights": (terms.weights(terms.fit(JOINT[1], fitted)), others),
    }


def draw_forecast(title: str, interval: int, models: Sequence[tuple[str, int, Recorded]]) -> Figure:
    """A column for each model: above the path, below how errors add up over the steps.

    Args:
        title: above the picture.
        interval: N; full steps are uniform.
        models: for each its label, over how many calls its schedule is laid out, and what was recorded.
    """
    figure, axes = plt.subplots(2, len(models), figsize=(3.6 * len(models), 6.4), squeeze=False, layout="constrained")
    for (label, length, recorded), (above, below) in zip(models, axes.T, strict=True):
        full_steps, path = uniform(length, interval), principal_path(recorded.gram)
        above.plot(path.x, path.y, color="0.6", linewidth=1, marker=".", markersize=3, label="every step")
        full = list(full_steps)
        above.plot(path.x[full], path.y[full], "o", color="C0", markersize=5, label="full steps")
        above.margins(0.15)
        for name, step in (("first", 0), ("last", -1)):
            place = path.x[step], path.y[step]
            above.annotate(name, place, textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
        above.set(title=f"{label}\n{100 * path.share:.0f} % of the movement lies in this plane", xlabel="1st component")
        above.set_ylabel("2nd component")
        for i, (name, (weights, rows)) in enumerate(ways(recorded.rows, full_steps).items()):
            together, apart = summed_errors(rows, weights)
            first = int(np.flatnonzero(apart)[0])
            steps = np.arange(first, len(apart))
            below.semilogy(steps, together[first:], color=f"C{i}", linewidth=1.5, label=name)
            below.semilogy(steps, apart[first:], ":", color=f"C{i}", linewidth=1.3)
        below.plot([], [], ":", color="0.4", label="if nothing cancelled")
        below.set(xlabel="up to step", ylabel="error of the image, of 255 levels")
        for panel in (above, below):
            panel.grid(color="0.9")
    axes[0, 0].legend(fontsize=8)
    axes[1, 0].legend(fontsize=8)
    set_title(figure, title)
    return figure
