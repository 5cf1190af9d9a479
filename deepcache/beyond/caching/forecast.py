"""What: a polynomial through the features of the last full steps."""

from collections.abc import Sequence

import torch

from deepcache.caching.reuse import Reuse
from deepcache.caching.schedules import is_integer
from deepcache.errors import DeepCacheError


class Forecast(Reuse):
    """The polynomial through the features of the last full steps, evaluated at the current step.

    Order 0 holds the last feature, order 1 draws the line through the last two, order 2 the parabola through the last
    three; at the start of a trajectory as many are used as there are. Sums are accumulated in float32 (float64 where
    the feature is).

    Args:
        order: degree of the polynomial; order + 1 features are kept.

    Raises:
        DeepCacheError: if order is not an integer of at least 0.
    """

    def __init__(self, order: int = 1):
        if not is_integer(order) or order < 0:
            raise DeepCacheError(f"order of a forecast must be an integer of at least 0, not {order!r}")
        self.order = order
        self._points: list[tuple[int, torch.Tensor]] = []

    def reset(self) -> None:  # noqa: D102
        self._points = []

    def observe(self, step: int, feature: torch.Tensor) -> None:  # noqa: D102
        self._points = [*self._points, (step, feature)][-(self.order + 1) :]

    def predict(self, step: int) -> torch.Tensor:  # noqa: D102
        last = self._points[-1][1]
        if len(self._points) == 1:
            return last
        precision = torch.promote_types(last.dtype, torch.float32)
        total = torch.zeros_like(last, dtype=precision)
        for weight, (_, feature) in zip(self.weights(step), self._points, strict=True):
            total.add_(feature, alpha=weight)
        return total.to(last.dtype)

    def weights(self, step: int) -> list[float]:
        """Lagrange weights of the kept features, oldest first; they sum to 1."""
        return lagrange_weights([node for node, _ in self._points], step)

    @property
    def held(self) -> tuple[torch.Tensor, ...]:  # noqa: D102
        return tuple(feature for _, feature in self._points)


def lagrange_weights(nodes: Sequence[int], step: float) -> list[float]:
    """Weights of the values at the nodes in that of the polynomial through them at `step`; they sum to 1."""
    weights = []
    for node in nodes:
        weight = 1.0
        for other in nodes:
            if other != node:
                weight *= (step - other) / (node - other)
        weights.append(weight)
    return weights
