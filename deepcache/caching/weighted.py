"""What: a weighted sum of kept features, with weights that were calibrated for every step."""

from collections.abc import Mapping

import torch

from deepcache.caching.reuse import Reuse
from deepcache.errors import DeepCacheError


class Weighted(Reuse):
    """Adds the features of earlier full steps with given weights; accumulated in float32 (float64 where they are).

    A feature is kept until the last step that needs it. A single weight of 1 is the kept feature itself, as `Hold` has
    it.

    Args:
        weights: for each shallow step, full step -> weight of its feature.

    Raises:
        DeepCacheError: if a step has no weights, or one for a step that is not before it.
    """

    def __init__(self, weights: Mapping[int, Mapping[int, float]]):
        self._weights = {step: dict(of) for step, of in weights.items()}
        self._needed_until: dict[int, int] = {}
        for step, of in self._weights.items():
            if not of or not all(0 <= node < step for node in of):
                raise DeepCacheError(f"weights of step {step} must be those of steps before it, not {sorted(of)}")
            for node in of:
                self._needed_until[node] = max(step, self._needed_until.get(node, 0))
        self._kept: dict[int, torch.Tensor] = {}

    def reset(self) -> None:  # noqa: D102
        self._kept = {}

    def observe(self, step: int, feature: torch.Tensor) -> None:  # noqa: D102
        self._kept = {node: kept for node, kept in self._kept.items() if self._needed_until[node] > step}
        if step in self._needed_until:
            self._kept[step] = feature

    def predict(self, step: int) -> torch.Tensor:  # noqa: D102
        weights = self._weights.get(step)
        if weights is None or not weights.keys() <= self._kept.keys():
            raise DeepCacheError(f"step {step} does not fit these weights: run them with the full steps they belong to")
        if list(weights.values()) == [1.0]:
            return self._kept[next(iter(weights))]
        first = self._kept[next(iter(weights))]
        total = torch.zeros_like(first, dtype=torch.promote_types(first.dtype, torch.float32))
        for node, weight in weights.items():
            total.add_(self._kept[node], alpha=weight)
        return total.to(first.dtype)

    def can_predict(self, step: int) -> bool:  # noqa: D102
        return self._weights.get(step, {}).keys() <= self._kept.keys()

    @property
    def held(self) -> tuple[torch.Tensor, ...]:  # noqa: D102
        return tuple(self._kept.values())
