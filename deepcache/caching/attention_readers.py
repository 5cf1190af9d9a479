"""Pipelines that read attention maps while the U-Net runs, as self-attention guidance and attend-and-excite do."""

import numbers
from collections.abc import Iterable

import torch
from torch import nn

PLAIN = (numbers.Number, str, torch.dtype, torch.device)


class SkippedAttention:
    """The attention layers of a U-Net that a view of it leaves out.

    Args:
        unet: a diffusers U-Net.
        view: of it, as `shallow_view` builds it.
    """

    def __init__(self, unet: nn.Module, view: nn.Module):
        kept = {id(module) for module in view.modules()}
        self._layers = [one for one in unet.modules() if hasattr(one, "processor") and id(one) not in kept]

    @property
    def reader(self) -> str | None:
        """Name of a processor that keeps something of what it computes: it must see every step; None if there is none.

        diffusers' own in `diffusers.models` keep nothing. Of others, whatever they hold beside numbers, names and
        weights may be a place where they keep it.
        """
        for layer in self._layers:
            processor = layer.processor
            if not _is_diffusers(processor) and not all(map(_is_plain, _attributes(processor))):
                return type(processor).__name__
        return None


def _attributes(processor: object) -> Iterable[object]:
    module = isinstance(processor, nn.Module)  # then layers and weights lie in private dictionaries
    held = getattr(processor, "__dict__", {})
    return [value for name, value in held.items() if not (module and name.startswith("_"))]


def _is_diffusers(value: object) -> bool:
    return type(value).__module__.startswith("diffusers.models.")


def _is_plain(value: object) -> bool:
    return (
        isinstance(value, PLAIN)
        or _is_diffusers(value)
        or (isinstance(value, (tuple, list)) and all(map(_is_plain, value)))
    )
