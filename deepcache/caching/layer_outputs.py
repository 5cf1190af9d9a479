"""Watching what a layer of a U-Net returns, and what the U-Net is called with."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from deepcache.caching.unet_call import UNetCall


def first_output(output: torch.Tensor | tuple) -> torch.Tensor:
    """The hidden states among what a layer returns: diffusers' down blocks return their skip tensors as well."""
    return output[0] if isinstance(output, tuple) else output


def output_watched(layer: nn.Module, observe: Callable[[torch.Tensor], None]) -> AbstractContextManager[None]:
    """Show every output of a layer to `observe`, see `outputs_watched`."""
    return outputs_watched([layer], lambda layer, output: observe(output))


@contextmanager
def outputs_watched(layers: Iterable[nn.Module], observe: Callable[[nn.Module, torch.Tensor], None]) -> Iterator[None]:
    """Show every output of layers to `observe`, inside the block.

    Args:
        layers: left as they were afterwards.
        observe: gets the layer and the hidden states themselves, which later layers may write into.
    """
    handles = [
        layer.register_forward_hook(lambda module, args, output: observe(module, first_output(output)))
        for layer in layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def input_watched(unet: nn.Module, observe: Callable[[torch.Tensor], None]) -> Iterator[None]:
    """Show every latent that a U-Net is called with to `observe`, inside the block.

    Args:
        unet: left as it was afterwards.
        observe: gets a copy.
    """
    call = UNetCall(unet)

    def show(module: nn.Module, args: tuple, kwargs: dict) -> None:
        observe(call.sample(args, kwargs).detach().clone())

    handle = unet.register_forward_pre_hook(show, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
