"""The shallow U-Net: a view of a U-Net that keeps its outermost layers, and is itself a U-Net.

The view shares every layer with the original, whose own `forward` runs on it unchanged. Of a diffusers U-Net its down
blocks end at the branch, its middle block returns the cached feature, its up blocks begin at the branch. Of one of
another shape each skipped layer hands on a hidden state without channels, and the last of them the feature.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from deepcache.caching.branches import LAYER_PARTS, Cut, part_of_layers
from deepcache.caching.instance_method import InstanceMethod
from deepcache.caching.layers import LayersCut
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


class Nothing(nn.Module):
    """Takes the place of a skipped layer: returns the hidden state that it is called with, without its channels."""

    def __init__(self, returns: Callable[[torch.Tensor], Any]):
        super().__init__()
        self._returns = returns

    def forward(self, *args, **kwargs):
        """The hidden state is the first tensor."""
        tensors = (one for one in (*args, *kwargs.values()) if isinstance(one, torch.Tensor))
        return self._returns(next(tensors)[:, :0])


def shallow_view(unet: nn.Module, cut: Cut | LayersCut) -> nn.Module:
    """Build the view; set `view.deepcache_cached.feature` before calling it.

    Nothing of the original is changed or copied but the containers. Build the view after adapters have been loaded.

    Raises:
        DeepCacheError: if a module that has to be cut carries a `forward` of its own (another tool has patched it).
    """
    cached = CachedFeature()
    view = _without(unet, cut, cached) if isinstance(cut, LayersCut) else _diffusers_view(unet, cut, cached)
    vars(view)["deepcache_cached"] = cached  # beside its children, which are the U-Net's
    # Hooks on the U-Net run around the call of which the view's is a part; those on its blocks are theirs.
    for name, value in vars(view).items():
        if name.endswith("_hooks") or "_hooks_" in name:
            vars(view)[name] = type(value)() if isinstance(value, dict) else value
    return view


def _diffusers_view(unet: nn.Module, cut: Cut, cached: CachedFeature) -> nn.Module:
    down_blocks = []
    for block, kept in zip(unet.down_blocks, cut.down, strict=False):
        dropped = {} if kept.downsampler else {"downsamplers": None}
        down_blocks.append(block if kept.whole else _cut_block(block, slice(kept.layers), **dropped))
    up_blocks = list(unet.up_blocks[cut.up_block :])
    if cut.up_layer > 0:
        up_blocks[0] = _cut_block(up_blocks[0], slice(cut.up_layer, None))
    blocks = {"down_blocks": nn.ModuleList(down_blocks), "up_blocks": nn.ModuleList(up_blocks)}
    return _view(unet, mid_block=cached, **blocks)


def _without(unet: nn.Module, cut: LayersCut, cached: CachedFeature) -> nn.Module:
    stand_ins = {module: Nothing(cut.down_returns) for module in cut.down}
    stand_ins |= {module: Nothing(lambda hidden: hidden) for module in cut.rest[:-1]} | {cut.feeder: cached}

    def view_of(module: nn.Module) -> nn.Module:
        present = {name: one for name, one in module._modules.items() if one is not None}
        children = {name: stand_ins.get(one) or view_of(one) for name, one in present.items()}
        if all(one is module._modules[name] for name, one in children.items()):
            return module
        if module is not unet:
            _check_not_moved(module)
        return _view(module, **children)

    return view_of(unet)


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
    _check_not_moved(block)
    parts = [name for name in LAYER_PARTS if getattr(block, name, None) is not None]
    parts = {name: nn.ModuleList(part_of_layers(block, name, kept)) for name in parts}
    return _view(block, **parts, **children)


def _check_not_moved(block: nn.Module) -> None:
    if hasattr(block, "_hf_hook"):
        raise DeepCacheError(
            f"accelerate moves each {type(block).__name__} of this U-Net as a whole, and the branch cuts one: "
            "load the U-Net without a device map"
        )


def _view(module: nn.Module, /, **children: nn.Module | None) -> nn.Module:
    check_unpatched(module)
    view = copy.copy(module)
    # What is bound to the original goes; a child that is None stands among the attributes.
    for name in ("forward", "_hf_hook", "_old_forward", *children):
        vars(view).pop(name, None)
    view._modules = {**module._modules, **children}
    return view
