"""Why a feature can be forecast: the path that it takes over the steps, and what each way to fill in misses of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from deepcache.beyond.calibration.choose import Proposal
from deepcache.beyond.calibration.residuals import Predictor, residuals
from deepcache.caching.schedules import uniform
from deepcache.figures.style import plt, set_title

WAYS = (("held", Predictor(0), "-"), ("line", Predictor(1), "--"), ("parabola", Predictor(2), ":"))


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


def missed(gram: np.ndarray, full_steps: Sequence[int], predictor: Predictor) -> tuple[np.ndarray, np.ndarray]:
    """The shallow steps of a schedule, and the root mean square that is missed at each, over that of the feature."""
    weights = Proposal("", tuple(full_steps), predictor).weights(gram)
    steps = sorted(weights)
    squares = [
        residuals(gram, tuple(weights[step]), [step], np.array([list(weights[step].values())]))[0] for step in steps
    ]
    return np.array(steps), np.sqrt(squares / gram.diagonal()[steps])


def draw_forecast(title: str, interval: int, models: Sequence[tuple[str, int, np.ndarray]]) -> Figure:
    """A column for each model: above the path, below what is missed at each step.

    Args:
        title: above the picture.
        interval: N; full steps are uniform.
        models: for each its label, over how many calls its schedule is laid out, and G, shape (T, T).
    """
    figure, axes = plt.subplots(2, len(models), figsize=(3.6 * len(models), 6.4), squeeze=False, layout="constrained")
    for (label, length, gram), (above, below) in zip(models, axes.T, strict=True):
        full_steps, path = uniform(length, interval), principal_path(gram)
        above.plot(path.x, path.y, color="0.6", linewidth=1, marker=".", markersize=3, label="every step")
        full = list(full_steps)
        above.plot(path.x[full], path.y[full], "o", color="C0", markersize=5, label="full steps")
        above.margins(0.15)
        for name, step in (("first", 0), ("last", -1)):
            place = path.x[step], path.y[step]
            above.annotate(name, place, textcoords="offset points", xytext=(0, 7), ha="center", fontsize=8)
        above.set(title=f"{label}\n{100 * path.share:.0f} % of the movement lies in this plane", xlabel="1st component")
        above.set_ylabel("2nd component")
        for i, (name, predictor, line) in enumerate(WAYS):
            steps, values = missed(gram, full_steps, predictor)
            below.semilogy(steps, 100 * values, line, color=f"C{i}", linewidth=1.3, label=name)
        below.set(xlabel="step", ylabel="missed, % of the feature")
        for panel in (above, below):
            panel.grid(color="0.9")
    axes[0, 0].legend(fontsize=8)
    axes[1, 0].legend(fontsize=8)
    set_title(figure, title)
    return figure
