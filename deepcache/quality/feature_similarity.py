"""How similar a layer's features are from step to step: what caching rests on (paper, Section 3.2 and Figure 2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import nn

from deepcache.caching.layer_outputs import output_watched
from deepcache.errors import DeepCacheError


@dataclass
class FeatureSimilarity:
    """Cosine similarities of a layer's output between all steps, averaged over trajectories and images.

    While a trajectory runs, its features are kept, one for each step, since each step is compared with all before it;
    of what came before only sums remain.

    Attributes:
        maps: of the first image, the mean over channels at each step, float32, shape (T, H, W).
    """

    maps: np.ndarray | None = None
    _features: list[torch.Tensor] = field(default_factory=list)
    _rows: list[torch.Tensor] = field(default_factory=list)
    _maps: list[torch.Tensor] = field(default_factory=list)
    _sum: torch.Tensor | None = None
    _images: int = 0

    @contextmanager
    def recording(self, unet: nn.Module, layer: str) -> Iterator[None]:
        """Watch one trajectory; call it again for the next.

        Args:
            unet: called once a step.
            layer: name of a layer in it, such as `up_blocks.2` or `up_blocks.2.resnets.1`.

        Raises:
            DeepCacheError: if there is no such layer, its output is no feature map, it did not run, or the trajectory
                has another number of steps than the ones before.
        """
        try:
            module = unet.get_submodule(layer)
        except AttributeError as error:
            names = ", ".join(name for name, _ in unet.named_children())
            raise DeepCacheError(f"layer {layer}: the U-Net has none of this name; it has {names}") from error
        try:
            with output_watched(module, partial(self._observe, type(module).__name__)):
                yield
                self._finish(layer)
        finally:
            for kept in (self._features, self._rows, self._maps):
                kept.clear()

    def matrix(self) -> np.ndarray:
        """Mean cosine similarity of steps s and t, float64, shape (T, T), 1 on the diagonal."""
        if self._sum is None:
            raise DeepCacheError("no trajectory was recorded")
        return (self._sum / self._images).cpu().numpy()

    def _observe(self, kind: str, feature: torch.Tensor) -> None:
        if not isinstance(feature, torch.Tensor) or feature.ndim != 4:
            raise DeepCacheError(f"{kind} gives no feature map of shape (B, C, H, W)")
        flat = nn.functional.normalize(feature.detach().float().flatten(1), dim=1)
        self._features.append(flat)
        self._rows.append(torch.stack([(flat * other).sum(1).double() for other in self._features]).sum(1))
        if self.maps is None:
            self._maps.append(feature[0].detach().float().mean(0))  # fetched in the end: no step waits for the device

    def _finish(self, layer: str) -> None:
        steps = len(self._rows)
        if steps == 0:
            raise DeepCacheError(f"layer {layer} did not run")
        if self._sum is not None and len(self._sum) != steps:
            raise DeepCacheError(f"layer {layer} ran {steps} times, but {len(self._sum)} times before")
        lower = torch.stack([nn.functional.pad(row, (0, steps - len(row))) for row in self._rows])
        whole = lower + lower.T - torch.diag(lower.diagonal())
        self._sum = whole if self._sum is None else self._sum + whole
        self._images += len(self._features[0])
        self.maps = torch.stack(self._maps).cpu().numpy() if self.maps is None else self.maps


def similar_share(matrix: np.ndarray, threshold: float = 0.95) -> np.ndarray:
    """For each step the share of the other steps whose similarity is above the threshold, shape (T,) (Figure 2c)."""
    steps = len(matrix)
    if steps < 2:
        raise DeepCacheError("similarity between steps needs two of them at least")
    others = matrix[~np.eye(steps, dtype=bool)].reshape(steps, steps - 1)
    return (others > threshold).mean(axis=1)
