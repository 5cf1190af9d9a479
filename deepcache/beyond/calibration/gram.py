"""The Gram matrix of a branch's feature over the steps of uncached trajectories.

Any prediction that adds features of full steps with weights misses the true feature by a combination of features, and
the mean square of such a combination is a quadratic form in this matrix: it is all that has to be kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from deepcache.beyond.calibration.branch_features import branch_features, check_ran
from deepcache.errors import DeepCacheError


@dataclass
class FeatureGram:
    """G[s, t]: mean over images, channels and positions of the product of the features at steps s and t.

    Steps are calls of the U-Net: PLMS has one more than steps. With guidance, both halves of the batch count. While a
    trajectory runs its features are kept; of what came before only the sum remains.

    Attributes:
        branch: 0-based skip branch whose feeder is watched.
    """

    branch: int
    _sum: torch.Tensor | None = None
    _elements: int = 0

    @contextmanager
    def recording(self, unet: nn.Module) -> Iterator[None]:
        """Watch one uncached trajectory; call it again for the next.

        Args:
            unet: called once a step.

        Raises:
            DeepCacheError: if the U-Net has no such branch, did not run, or ran another number of times, or with
                another size of the feature within the trajectory, than before.
        """
        with branch_features(unet, self.branch) as features:
            yield
            self.add(features)

    def matrix(self) -> np.ndarray:
        """G, float64, shape (T, T), symmetric."""
        if self._sum is None:
            raise DeepCacheError("no trajectory was recorded")
        return (self._sum / self._elements).cpu().numpy()

    def add(self, features: list[torch.Tensor]) -> None:
        """Add one trajectory, its features by step, shape (B, C, H, W); DeepCacheError as from `recording`."""
        check_ran(features)
        steps = len(features)
        if self._sum is not None and len(self._sum) != steps:
            raise DeepCacheError(f"a trajectory of {steps} steps was recorded, but one of {len(self._sum)} before")
        for image in range(len(features[0])):  # one by one: in float64 all of them would be twice the memory
            flat = torch.stack([feature[image].flatten() for feature in features]).double()
            product = flat @ flat.T
            self._sum = product if self._sum is None else self._sum + product
            self._elements += flat.shape[1]
