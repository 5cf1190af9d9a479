"""All weights of a schedule together, so that what they miss at different steps cancels in the final image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepcache.beyond.calibration.rows import Rows

RIDGE = 1e-6  # what is added to the diagonal of the normal equations, as a share of it: draws weights towards holding


@dataclass(frozen=True)
class Terms:
    """What a shallow step contributes to each row's error: missed - sum over i of u_i moved_i.

    u_i is the weight of the i-th earlier full step; what is left to 1 is the weight of the last one.

    Attributes:
        steps: the shallow steps, S of them.
        nodes: for each its last full steps, latest first, shape (S, order + 1); -1 where there are none.
        missed: by holding the last one's feature, shape (R, S).
        moved: by a weight of 1 on an earlier one instead, shape (R, S, order); 0 where there is none.
        aside: what is missed before any step is shallow, see `Rows`, shape (R,).
    """

    steps: np.ndarray
    nodes: np.ndarray
    missed: np.ndarray
    moved: np.ndarray
    aside: np.ndarray

    @classmethod
    def of(cls, rows: Rows, full_steps: Sequence[int], order: int) -> "Terms":
        """Of a schedule, with the last order + 1 full steps at each shallow step."""
        full = np.asarray(full_steps)
        steps = np.setdiff1d(np.arange(rows.num_steps), full)
        place = (np.searchsorted(full, steps) - 1)[:, None] - np.arange(order + 1)
        nodes = np.where(place >= 0, full[np.maximum(place, 0)], -1)
        last = rows.products[:, steps, nodes[:, 0]]
        moved = rows.products[:, steps[:, None], nodes[:, 1:]] - last[:, :, None]
        missed, moved = rows.products[:, steps, steps] - last, np.where(nodes[:, 1:] >= 0, moved, 0.0)
        aside = np.zeros(len(missed)) if rows.aside is None else rows.aside
        return cls(steps, nodes, missed, moved, aside)

    def errors(self, earlier: np.ndarray, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Error along each of these rows' probes, with weights u, shape (S, order)."""
        missed = self.missed[rows].sum(1) + self.aside[rows]
        return missed - self.moved[rows].reshape(len(self.missed[rows]), -1) @ earlier.reshape(-1)

    def fit(self, trust: float, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Weights u with the least sum of squared errors over some rows, shape (S, order).

        That what is missed at different steps cancels is true to first order only. So each step's own square counts as
        well, times `trust`: the smaller it is, the more is trusted to cancelling.
        """
        missed, moved = self.missed[rows], self.moved[rows]
        count, steps, order = moved.shape
        if steps == 0 or order == 0:
            return np.zeros((steps, order))
        flat = moved.reshape(count, -1)
        normal = flat.T @ flat
        own = np.einsum("rsi,rsj->sij", moved, moved)
        by_step = normal.reshape(steps, order, steps, order)
        diagonal = np.arange(steps)
        by_step[diagonal, :, diagonal, :] += trust * own
        right = flat.T @ (missed.sum(1) + self.aside[rows]) + trust * np.einsum("rsi,rs->si", moved, missed).reshape(-1)
        ridge = RIDGE * normal.diagonal()
        normal[np.diag_indices_from(normal)] += np.where(ridge > 0, ridge, 1.0)  # a column of zeros gets no weight
        return np.linalg.solve(normal, right).reshape(steps, order)

    def weights(self, earlier: np.ndarray) -> dict[int, dict[int, float]]:
        """For each shallow step, full step -> weight of its feature, oldest first, as `Weighted` takes them."""
        found = {}
        for step, nodes, u in zip(self.steps.tolist(), self.nodes.tolist(), earlier, strict=True):
            count = sum(node >= 0 for node in nodes)
            each = [1 - float(u[: count - 1].sum()), *u[: count - 1].tolist()]
            found[step] = dict(zip(nodes[count - 1 :: -1], reversed(each), strict=True))
        return found


def joint_weights(rows: Rows, full_steps: Sequence[int], order: int, trust: float) -> dict[int, dict[int, float]]:
    """The weights with the least predicted error of the image, for each shallow step.

    Args:
        rows: of the model, sampler and branch.
        full_steps: k of T, starting with 0.
        order: how many full steps before the last one get a weight.
        trust: mu, see `Terms.fit`.
    """
    terms = Terms.of(rows, full_steps, order)
    return terms.weights(terms.fit(trust))


def held_out_error(rows: Rows, full_steps: Sequence[int], order: int, trust: float) -> float:
    """Predicted mean squared error, fitted on one half of the images and judged on the other, both ways.

    On the scale of 0 to 255; arguments as for `joint_weights`.
    """
    terms, errors = Terms.of(rows, full_steps, order), np.zeros(len(rows.images))
    halves = rows.halves()
    for fitted, judged in (halves, halves[::-1]):
        errors[judged] = terms.errors(terms.fit(trust, fitted), judged)
    return rows.squared_error(errors)
