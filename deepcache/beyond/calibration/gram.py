"""The Gram matrix of a branch's feature over the steps of uncached trajectories: how far it moves, and where."""

import numpy as np
import torch

from deepcache.errors import DeepCacheError


class FeatureGram:
    """G[s, t]: mean over images, channels and positions of the product of the features at steps s and t.

    Steps are calls of the U-Net: PLMS has one more than steps. With guidance, both halves of the batch count.
    """

    def __init__(self):
        self._sum: np.ndarray | float = 0.0
        self._elements = 0

    def add(self, features: list[torch.Tensor]) -> None:
        """Add one trajectory, its features by step, shape (B, C, H, W)."""
        for image in range(len(features[0])):  # one by one: in float64 all of them would be twice the memory
            flat = torch.stack([feature[image].flatten() for feature in features]).double()
            self._sum = self._sum + (flat @ flat.T).cpu().numpy()
            self._elements += flat.shape[1]

    def matrix(self) -> np.ndarray:
        """G, float64, shape (T, T), symmetric; DeepCacheError if there was no trajectory."""
        if not self._elements:
            raise DeepCacheError("no trajectory was recorded")
        return self._sum / self._elements
