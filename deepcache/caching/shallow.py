"""The shallow U-Net: a view of a U-Net that keeps its outermost layers, and is itself a U-Net.

The view shares every layer with the original. diffusers' own `forward` runs on it unchanged: its down blocks end at the
branch, its middle block returns the cached feature, its up blocks begin at the branch.
"""

import copy

import torch
from torch import nn

from deepcache.caching.branches import LAYER_PARTS, Cut, part_of_layers
from deepcache.caching.instance_method import InstanceMethod
from deepcache.errors import DeepCacheError


class CachedFeature(nn.Module):
    """Takes the place of the skipped depth: returns the tensor that `feature` holds, whatever it is called with."""

    has_cross_attention = False

    def __init__(self):
        super().__init__()
        self.feature: torch.Tensor | None = None

    def forward(self, *args, **kwargs) -> torch.Tensor:
        """Return the feature, shape (B, C, H, W) of the feeder's output."""
        return self.feature


def shallow_view(unet: nn.Module, cut: Cut) -> nn.Module:
    """Build the view; set `view.mid_block.feature` before calling it.

    Nothing of the original is changed or copied but the containers. Build the view after adapters have been loaded.

    Raises:
        DeepCacheError: if a module that has to be cut carries a `forward` of its own (another tool has patched it).
    """
    down_blocks = []
    for block, kept in zip(unet.down_blocks, cut.down, strict=False):
        dropped = {} if kept.downsampler else {"downsamplers": None}
        down_blocks.append(block if kept.whole else _cut_block(block, slice(kept.layers), **dropped))
    up_blocks = list(unet.up_blocks[cut.up_block :])
    if cut.up_layer > 0:
        up_blocks[0] = _cut_block(up_blocks[0], slice(cut.up_layer, None))
    view = _view(
        unet,
        down_blocks=nn.ModuleList(down_blocks),
        mid_block=CachedFeature(),
        up_blocks=nn.ModuleList(up_blocks),
    )
    # Hooks on the U-Net run around the call of which the view's is a part; those on its blocks are theirs.
    for name, value in vars(view).items():
        if name.endswith("_hooks") or "_hooks_" in name:
            vars(view)[name] = type(value)() if isinstance(value, dict) else value
    return view


def check_unpatched(module: nn.Module) -> None:
    """Refuse a module whose instance carries a foreign `forward`.

    The attribute is bound to the original: a view that inherited it would run the whole original, and one that dropped
    it would lose what the other tool does. accelerate's hooks are known: what counts is the `forward` below them.
    """
    forward = vars(module).get("_old_forward" if hasattr(module, "_hf_hook") else "forward")
    if forward is None or isinstance(forward, InstanceMethod):
        return  # the cache's own, where a view is built anew
    if getattr(forward, "__self__", None) is module and forward.__func__ is type(module).forward:
        return  # the class's own method, left as an attribute by a tool that was disabled
    raise DeepCacheError(
        f"another tool has replaced the forward of {type(module).__name__}: disable it before enabling DeepCache"
    )


def _cut_block(block: nn.Module, kept: slice, **children: nn.Module | None) -> nn.Module:
    if hasattr(block, "_hf_hook"):
        raise DeepCacheError(
            f"accelerate moves each {type(block).__name__} of this U-Net as a whole, and the branch cuts one: "
            "load the U-Net without a device map"
        )
    parts = [name for name in LAYER_PARTS if getattr(block, name, None) is not None]
    parts = {name: nn.ModuleList(part_of_layers(block, name, kept)) for name in parts}
    return _view(block, **parts, **children)


def _view(module: nn.Module, **children: nn.Module | None) -> nn.Module:
    check_unpatched(module)
    view = copy.copy(module)
    # What is bound to the original goes; a child that is None stands among the attributes.
    for name in ("forward", "_hf_hook", "_old_forward", *children):
        vars(view).pop(name, None)
    view._modules = {**module._modules, **children}
    return view
