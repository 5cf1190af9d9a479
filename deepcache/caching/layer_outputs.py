"""Watching what a layer of a U-Net returns."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn


def first_output(output: torch.Tensor | tuple) -> torch.Tensor:
    """The hidden states among what a layer returns: diffusers' down blocks return their skip tensors as well."""
    return output[0] if isinstance(output, tuple) else output


@contextmanager
def output_watched(layer: nn.Module, observe: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Show every output of a layer to `observe`, inside the block.

    Args:
        layer: left as it was afterwards.
        observe: gets the hidden states themselves, which later layers may write into.
    """
    handle = layer.register_forward_hook(lambda module, args, output: observe(first_output(output)))
    try:
        yield
    finally:
        handle.remove()
