"""What ControlNets and adapters add to the U-Net in the depth that a shallow pass skips."""

import inspect

from torch import nn

from deepcache.caching.branches import Cut


class SkippedResiduals:
    """Takes the residuals of the skipped depth out of a call's arguments.

    ControlNet residuals of the kept skip tensors are used as they are: diffusers pairs them up from the outside in.

    Args:
        unet: a diffusers U-Net.
        cut: where it is cut.
    """

    def __init__(self, unet: nn.Module, cut: Cut):
        self._mid_is_cut = cut.feeder is not unet.mid_block
        self._adapter_blocks = sum(
            # diffusers adds an adapter's residual to the last layer of a block with cross-attention, else to its output
            kept.layers == len(block.resnets) if getattr(block, "has_cross_attention", False) else kept.whole
            for block, kept in zip(unet.down_blocks, cut.down, strict=False)
        )
        self._names = list(inspect.signature(type(unet).forward).parameters)[1:]

    def left_out(self, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        """Return the arguments of a full pass as a shallow pass takes them."""
        if not self._mid_is_cut:
            return args, kwargs  # nothing is skipped but the middle block
        if len(args) > 3:
            kwargs = {**dict(zip(self._names, args, strict=False)), **kwargs}
            args = ()
        changed = {}
        if kwargs.get("mid_block_additional_residual") is not None:
            changed["mid_block_additional_residual"] = 0.0
        for name in _adapter_arguments(kwargs):
            changed[name] = list(kwargs[name])[: self._adapter_blocks]
        return args, {**kwargs, **changed} if changed else kwargs


def _adapter_arguments(kwargs: dict) -> list[str]:
    names = []
    if kwargs.get("down_intrablock_additional_residuals") is not None:
        names.append("down_intrablock_additional_residuals")
    elif kwargs.get("mid_block_additional_residual") is None and kwargs.get("down_block_additional_residuals"):
        names.append("down_block_additional_residuals")  # the older way to pass an adapter's residuals
    return names
