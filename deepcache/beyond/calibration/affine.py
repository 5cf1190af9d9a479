"""Corrections of a held feature, channel by channel, fitted on uncached trajectories."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from deepcache.beyond.caching.affine import Affine
from deepcache.beyond.calibration.branch_features import branch_features, check_ran
from deepcache.errors import DeepCacheError


class ChannelMoments:
    """Means and products over images and positions of each channel of a branch's feature, between all steps.

    Args:
        branch: 0-based skip branch whose feeder is watched.
    """

    def __init__(self, branch: int):
        self.branch = branch
        self._sum: torch.Tensor | None = None  # (C, T)
        self._products: torch.Tensor | None = None  # (C, T, T)
        self._count = 0

    @contextmanager
    def recording(self, unet: nn.Module) -> Iterator[None]:
        """Watch one uncached trajectory; call it again for the next.

        Args:
            unet: called once a step.

        Raises:
            DeepCacheError: if the U-Net has no such branch, did not run, or changed the size of the feature.
        """
        with branch_features(unet, self.branch) as features:
            yield
            self.add(features)

    def moments(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean, shape (C, T), and mean product of two steps, shape (C, T, T), float64."""
        if self._sum is None:
            raise DeepCacheError("no trajectory was recorded")
        return self._sum / self._count, self._products / self._count

    def add(self, features: list[torch.Tensor]) -> None:
        """Add one trajectory, its features by step, shape (B, C, H, W)."""
        check_ran(features)
        for image in range(len(features[0])):  # one by one: in float64 all of them would be twice the memory
            flat = torch.stack([feature[image].flatten(1) for feature in features], 1).double()  # (C, T, H W)
            total, products = flat.sum(2), flat @ flat.transpose(1, 2)
            self._sum = total if self._sum is None else self._sum + total
            self._products = products if self._products is None else self._products + products
            self._count += flat.shape[2]


def fit_affine(recorded: ChannelMoments, full_steps: Sequence[int]) -> Affine:
    """Least squares of every channel at every shallow step from the last full step's feature.

    Args:
        recorded: of at least one trajectory.
        full_steps: the schedule that it is fitted for.

    Returns:
        What takes the place of the feature; a channel that does not vary at the full step is shifted alone.
    """
    mean, products = recorded.moments()
    corrections, last = {}, 0
    for step in range(mean.shape[1]):
        if step in full_steps:
            last = step
            continue
        variance = products[:, last, last] - mean[:, last].square()
        covariance = products[:, last, step] - mean[:, last] * mean[:, step]
        varies = variance > 1e-12 * products[:, last, last]
        scale = torch.where(varies, covariance / torch.where(varies, variance, 1.0), 1.0)
        corrections[step] = (scale.float(), (mean[:, step] - scale * mean[:, last]).float())
    return Affine(corrections)
