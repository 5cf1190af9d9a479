"""What ControlNets and adapters add to the U-Net in the depth that a shallow pass skips."""

import inspect

import torch
from torch import nn

from deepcache.caching.branches import Cut
from deepcache.errors import DeepCacheError

RESIDUALS = ("down_block_additional_residuals", "mid_block_additional_residual", "down_intrablock_additional_residuals")


class SkippedResiduals:
    """Takes the residuals of the skipped depth out of a call's arguments.

    ControlNet residuals of the kept skip tensors are used as they are: diffusers pairs them up from the outside in.

    Args:
        unet: a diffusers U-Net.
        cut: where it is cut.
    """

    def __init__(self, unet: nn.Module, cut: Cut):
        self._feeder_is_middle = cut.feeder is unet.mid_block
        self._adapter_blocks = sum(
            # diffusers adds an adapter's residual to the last layer of a block with cross-attention, else to its output
            kept.layers == len(block.resnets) if getattr(block, "has_cross_attention", False) else kept.whole
            for block, kept in zip(unet.down_blocks, cut.down, strict=False)
        )
        self._names = list(inspect.signature(type(unet).forward).parameters)[1:]

    def left_out(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Return the arguments of a full pass as a shallow pass takes them."""
        kwargs, given = self._by_name(args, kwargs), kwargs
        changed = {}
        if kwargs.get("mid_block_additional_residual") is not None:
            changed["mid_block_additional_residual"] = 0.0
        for name in _adapter_arguments(kwargs):
            changed[name] = list(kwargs[name])[: self._adapter_blocks]
        if not changed:
            return args, given
        return (args[:0], {**kwargs, **changed}) if len(args) > 3 else (args, {**given, **changed})

    def behind_middle(self, args: tuple, kwargs: dict) -> list[torch.Tensor]:
        """What a full pass adds to the middle block's output if that is the cached feature, to which it belongs then.

        To be asked before the pass, which empties the lists that it is given.
        """
        if not self._feeder_is_middle:
            return []
        kwargs = self._by_name(args, kwargs)
        found = [kwargs[name][self._adapter_blocks] for name in self._with_one_for_the_middle(kwargs)]
        residual = kwargs.get("mid_block_additional_residual")
        if residual is not None and kwargs.get("down_block_additional_residuals") is not None:
            found.append(residual)
        return found

    def _with_one_for_the_middle(self, kwargs: dict) -> list[str]:
        return [name for name in _adapter_arguments(kwargs) if len(kwargs[name]) > self._adapter_blocks]

    def _by_name(self, args: tuple, kwargs: dict) -> dict:
        return {**dict(zip(self._names, args, strict=False)), **kwargs} if len(args) > 3 else kwargs


class NoResiduals:
    """In its place for U-Nets of another shape: nobody knows to which of their layers residuals belong."""

    def left_out(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Return the arguments as they are."""
        return args, kwargs

    def behind_middle(self, args: tuple, kwargs: dict) -> list[torch.Tensor]:
        """Nothing; DeepCacheError if there are residuals."""
        for name in (*RESIDUALS, "control"):
            if kwargs.get(name) is not None:
                raise DeepCacheError(
                    f"{name}: a ControlNet cannot be cached with a U-Net of another shape than diffusers'"
                )
        return []


def _adapter_arguments(kwargs: dict) -> list[str]:
    names = []
    if kwargs.get("down_intrablock_additional_residuals") is not None:
        names.append("down_intrablock_additional_residuals")
    elif kwargs.get("mid_block_additional_residual") is None and kwargs.get("down_block_additional_residuals"):
        names.append("down_block_additional_residuals")  # the older way to pass an adapter's residuals
    return names
