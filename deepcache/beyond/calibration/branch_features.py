"""The feature that a branch would cache, at every step of an uncached trajectory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from deepcache.caching.branches import find_feeder
from deepcache.caching.layer_outputs import output_watched
from deepcache.errors import DeepCacheError


@contextmanager
def branch_features(unet: nn.Module, branch: int | str) -> Iterator[list[torch.Tensor]]:
    """Collect them while the block runs one trajectory; the list is emptied in the end.

    Args:
        unet: called once a step.
        branch: 0-based skip branch whose feeder is watched, or OUTPUT.

    Yields:
        Features by step, shape (B, C, H, W).

    Raises:
        DeepCacheError: if the U-Net has no such branch, or the feature's shape changes within the trajectory.
    """
    features: list[torch.Tensor] = []

    def observe(feature: torch.Tensor) -> None:
        if features and feature.shape != features[0].shape:
            raise DeepCacheError("a trajectory must keep its batch size and resolution while it is recorded")
        features.append(feature.detach().clone())  # FreeU and adapters write into it afterwards

    try:
        with output_watched(find_feeder(unet, branch), observe):
            yield features
    finally:
        features.clear()


def check_ran(features: list[torch.Tensor]) -> None:
    """DeepCacheError if there was no step."""
    if not features:
        raise DeepCacheError("the U-Net did not run while it was recorded")
