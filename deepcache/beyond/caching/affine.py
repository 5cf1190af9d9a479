"""What: the last full step's feature, scaled and shifted channel by channel as was calibrated for every step."""

from collections.abc import Mapping

import torch

from deepcache.caching.reuse import Hold
from deepcache.errors import DeepCacheError


class Affine(Hold):
    """scale * feature + shift by channel, after CacheQuant's correction of cached features (arXiv 2503.01323).

    Accumulated in float32 (float64 where the feature is).

    Args:
        corrections: for each shallow step, the scale and the shift, each of shape (C,).

    Raises:
        DeepCacheError: if a scale and its shift differ in their shape.
    """

    def __init__(self, corrections: Mapping[int, tuple[torch.Tensor, torch.Tensor]]):
        super().__init__()
        for step, (scale, shift) in corrections.items():
            if scale.ndim != 1 or scale.shape != shift.shape:
                raise DeepCacheError(f"step {step}: scale and shift must each have one number for every channel")
        self._corrections = dict(corrections)

    def predict(self, step: int) -> torch.Tensor:  # noqa: D102
        feature = super().predict(step)
        if step not in self._corrections:
            raise DeepCacheError(f"step {step} has no correction: run with the full steps that it was fitted for")
        precision = torch.promote_types(feature.dtype, torch.float32)
        scale, shift = (one.to(feature.device, precision)[:, None, None] for one in self._corrections[step])
        return (feature * scale + shift).to(feature.dtype)
