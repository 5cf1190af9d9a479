"""What a prediction from kept features misses, read off the Gram matrix G of the features over the steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepcache.errors import DeepCacheError


@dataclass(frozen=True)
class Predictor:
    """How a feature is put together from those of the last full steps, the nodes: sum over i of w_i F(node_i).

    The weights sum to 1. Where there are fewer nodes than order + 1, the order is lower: at the start of a trajectory.

    Attributes:
        order: 0 holds the last feature; otherwise the last order + 1 of them are used.
        fitted: False: the weights of the polynomial through the nodes, as `Forecast` has them; True: the weights with
            the least squared residual on G.
        ridge: of fitted weights: what is added to the diagonal of the normal equations, as a share of it. It draws
            them towards holding.

    Raises:
        DeepCacheError: if an attribute is out of range.
    """

    order: int
    fitted: bool = False
    ridge: float = 1e-6

    def __post_init__(self):
        if isinstance(self.order, bool) or not isinstance(self.order, int) or self.order < 0:
            raise DeepCacheError(f"order of a prediction must be an integer of at least 0, not {self.order!r}")
        if not 0 <= self.ridge < np.inf:
            raise DeepCacheError(f"ridge must be a number of at least 0, not {self.ridge!r}")

    @property
    def name(self) -> str:
        """`hold`, `forecast1`, `fitted2`, ..."""
        return "hold" if self.order == 0 else f"{'fitted' if self.fitted else 'forecast'}{self.order}"

    def weights(self, gram: np.ndarray, nodes: Sequence[int], steps: Sequence[int]) -> np.ndarray:
        """Weights of the nodes at each of the steps, oldest node first, shape (len(steps), len(nodes)).

        Args:
            gram: G, shape (T, T).
            nodes: full steps, at most order + 1 of them, increasing.
            steps: steps to predict, after the last node.
        """
        nodes, steps = np.asarray(nodes), np.asarray(steps)
        if len(nodes) == 1:
            return np.ones((len(steps), 1))
        return _fitted(gram, nodes, steps, self.ridge) if self.fitted else _polynomial(nodes, steps)


def residuals(gram: np.ndarray, nodes: Sequence[int], steps: Sequence[int], weights: np.ndarray) -> np.ndarray:
    """Mean square of sum over i of w_i(s) F(node_i) - F(s) at each step s, shape (len(steps),).

    Args:
        gram: G, shape (T, T).
        nodes: full steps.
        steps: predicted steps.
        weights: of the nodes at each step, shape (len(steps), len(nodes)).
    """
    nodes, steps = np.asarray(nodes), np.asarray(steps)
    # In differences to the last node, so that what all features share, nearly all of them, does not cancel in the end.
    last = nodes[-1]
    quadratic = ((weights @ _differences(gram, nodes, nodes, last)) * weights).sum(1)
    linear = (weights * _differences(gram, steps, nodes, last)).sum(1)
    squares = gram[steps, steps] - 2 * gram[steps, last] + gram[last, last]
    return np.maximum(quadratic - 2 * linear + squares, 0)


def _differences(gram: np.ndarray, rows: np.ndarray, columns: np.ndarray, last: int) -> np.ndarray:
    """Mean products of F(row) - F(last) and F(column) - F(last), shape (len(rows), len(columns))."""
    return gram[np.ix_(rows, columns)] - gram[last, columns] - gram[rows, last][:, None] + gram[last, last]


def _polynomial(nodes: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Lagrange's weights."""
    weights = np.ones((len(steps), len(nodes)))
    for i, node in enumerate(nodes):
        for other in np.delete(nodes, i):
            weights[:, i] *= (steps - other) / (node - other)
    return weights


def _fitted(gram: np.ndarray, nodes: np.ndarray, steps: np.ndarray, ridge: float) -> np.ndarray:
    """Least squares in the differences of the earlier nodes to the last one: so the weights sum to 1."""
    last, earlier = nodes[-1], nodes[:-1]
    normal = _differences(gram, earlier, earlier, last)
    normal = normal + np.diag(ridge * normal.diagonal())
    weights = np.linalg.lstsq(normal, _differences(gram, earlier, steps, last), rcond=None)[0].T
    return np.concatenate([weights, 1 - weights.sum(1, keepdims=True)], axis=1)
