"""T-GATE (Zhang et al. 2024, arXiv 2404.02747): after the gate step cross-attention and guidance are left out."""

import torch
from torch import nn

from deepcache.caching.replaced_forward import ReplacedForward
from deepcache.errors import DeepCacheError


class TGate:
    """T-GATE on a U-Net that is called once a step, with guidance on a batch of both halves: a context manager.

    The first m steps run as they are. In the m-th, each cross-attention layer keeps the mean of what it returns for the
    unconditional and for the conditional half; from there on that takes its place. Then the halves do not differ any
    more: one of them runs, and the output serves both, so that guidance changes nothing. Without guidance what is kept
    is what the layer returned.

    Args:
        unet: diffusers' UNet2DConditionModel.
        gate: m, at least 1.
        guided: whether the batch consists of two halves.

    Raises:
        DeepCacheError: if the U-Net has no cross-attention, or the gate is below 1.
    """

    def __init__(self, unet: nn.Module, gate: int, guided: bool):
        self._layers = cross_attention(unet)
        if not self._layers:
            raise DeepCacheError(f"T-GATE leaves out cross-attention, and this {type(unet).__name__} has none")
        if gate < 1:
            raise DeepCacheError(f"the gate step must be at least 1, not {gate}")
        self._unet, self._gate, self._guided = unet, gate, guided
        self._replaced: list[ReplacedForward] = []
        self._kept: dict[nn.Module, torch.Tensor] = {}
        self._step = 0

    def __enter__(self) -> "TGate":
        for module, call in [(self._unet, self._call), *((layer, self._attend) for layer in self._layers)]:
            replaced = ReplacedForward(module)
            replaced.replace(_bound(call, module, replaced.original), owner=self)
            self._replaced.append(replaced)
        self.start_trajectory()
        return self

    def __exit__(self, *exception) -> None:
        for replaced in reversed(self._replaced):
            replaced.restore()
        self._replaced, self._kept = [], {}

    def start_trajectory(self) -> None:
        """The next call of the U-Net is that of step 0."""
        self._step, self._kept = 0, {}

    def _call(self, unet: nn.Module, forward, *args, **kwargs):
        self._step += 1
        if not self._guided or self._step <= self._gate:
            return forward(*args, **kwargs)
        args, kwargs = _half(args), {name: _half(value) for name, value in kwargs.items()}
        output = forward(*args, **kwargs)
        if isinstance(output, tuple):
            return (output[0].repeat(2, 1, 1, 1), *output[1:])
        return type(output)(sample=output.sample.repeat(2, 1, 1, 1))

    def _attend(self, layer: nn.Module, forward, *args, **kwargs):
        if self._step > self._gate:
            return self._kept[layer]
        output = forward(*args, **kwargs)
        if self._step == self._gate:
            self._kept[layer] = sum(output.chunk(2)) / 2 if self._guided else output
        return output


def cross_attention(unet: nn.Module) -> list[nn.Module]:
    """The layers that attend to the context."""
    return [module for module in unet.modules() if getattr(module, "is_cross_attention", False)]


def _bound(call, module: nn.Module, forward):
    return lambda *args, **kwargs: call(module, forward, *args, **kwargs)


def _half(value):
    """The second half of a batch, of tensors in any nesting; what has no batch stays."""
    if isinstance(value, torch.Tensor):
        return value.chunk(2)[1] if value.ndim else value
    if isinstance(value, (tuple, list)):
        return type(value)(map(_half, value))
    if isinstance(value, dict):
        return {name: _half(one) for name, one in value.items()}
    return value
