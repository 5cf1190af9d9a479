"""Counting the passes of a cached U-Net: all of it, and what each branch keeps."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from deepcache.caching.branches import find_cut
from deepcache.caching.layer_outputs import first_output
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
    with _outputs_kept([cut.feeder for cut in cuts.values()]) as features:
        full = count(unet)
    shallow = {}
    for branch, cut in cuts.items():
        view = shallow_view(unet, cut)
        view.deepcache_cached.feature = features[cut.feeder]
        shallow[branch] = count(view)
    return full, shallow


@contextmanager
def _outputs_kept(layers: list[nn.Module]) -> Iterator[dict[nn.Module, torch.Tensor]]:
    """Collect zeros like each layer's output (like the first, where a layer has several) when it runs."""
    outputs = {}

    def keep(layer: nn.Module, _, output) -> None:
        outputs[layer] = torch.zeros_like(first_output(output))

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
