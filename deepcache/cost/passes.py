"""Counting the passes of a cached U-Net: all of it, and what each branch keeps."""

from collections.abc import Callable, Iterable

import torch
from torch import nn

from deepcache.caching.branches import find_cut
from deepcache.caching.layer_outputs import outputs_watched
from deepcache.caching.shallow import shallow_view


def full_and_shallow(
    unet: nn.Module, branches: Iterable[int], count: Callable[[nn.Module], float]
) -> tuple[float, dict[int, float]]:
    """Count the U-Net once, which runs it, and then its view at each of several branches.

    Returns:
        (of the U-Net, by branch).
    """
    unet = getattr(unet, "_orig_mod", unet)
    cuts = {branch: find_cut(unet, branch) for branch in branches}
    features: dict[nn.Module, torch.Tensor] = {}  # zeros like them
    feeders = [cut.feeder for cut in cuts.values()]
    with outputs_watched(feeders, lambda layer, output: features.update({layer: torch.zeros_like(output)})):
        full = count(unet)
    shallow = {}
    for branch, cut in cuts.items():
        view = shallow_view(unet, cut)
        view.deepcache_cached.feature = features[cut.feeder]
        shallow[branch] = count(view)
    return full, shallow
