"""Caching behind a U-Net's last layer: what is kept is its output, and at a shallow step none of its layers runs."""

import inspect
from collections.abc import Callable

import torch
from diffusers.utils import BaseOutput
from torch import nn

from deepcache.caching.attention_readers import SkippedAttention
from deepcache.caching.execution import Execution
from deepcache.caching.passes import full_pass
from deepcache.caching.structure import is_same, whole_structure
from deepcache.errors import DeepCacheError


class WholeOutput:
    """The passes of such a U-Net; what they offer is what CutUNet's do.

    Args:
        unet: the U-Net.
        forward: its own.
        execution: how the full pass runs.
        taps: whether the output is taken at all.

    Attributes:
        passes: the full one.
        eager: whether that runs as it is.
        skipped_attention: all of it.

    Raises:
        DeepCacheError: if the pass cannot run like that.
    """

    def __init__(self, unet: nn.Module, forward: Callable, execution: Execution, taps: bool):
        execution = execution.on(unet)
        self._unet, self._execution, self._taps = unet, execution, taps
        self.eager = execution.eager
        self.skipped_attention = SkippedAttention(unet, nn.Module())
        self.passes = execution.prepare(full_pass(forward, None), device=next(unet.parameters()).device)
        self._signature = inspect.signature(type(unet).forward)
        self._kind: type[BaseOutput | torch.Tensor] | None = None  # of its outputs, once there was one that is no tuple
        self._structure = self._structure_now()

    @property
    def mode(self) -> str:
        """How the pass runs, see deepcache.execution_modes."""
        return self._execution.mode_of(self.passes)

    @property
    def is_stale(self) -> bool:
        """Whether a module has been put in, or what a graph has recorded is no more."""
        return not is_same(self._structure, self._structure_now())

    def _structure_now(self) -> tuple:
        return whole_structure(self._unet, deep=bool(self._execution.graph))

    def remove(self) -> None:
        """The U-Net is as it was."""

    def full(self, args: tuple, kwargs: dict, observe: Callable[[torch.Tensor], None]):
        """Run all of it; `observe` is called with a copy of the output.

        Raises:
            DeepCacheError: if the output is neither a tensor nor a tuple nor diffusers' kind.
        """
        output, _ = self.passes[0](*args, **kwargs)
        asked = isinstance(output, tuple) and "return_dict" in self._signature.parameters
        if not (asked or isinstance(output, (torch.Tensor, BaseOutput))):
            kind = type(self._unet).__name__
            raise DeepCacheError(f"this {kind} returns a {type(output).__name__}: its output cannot be cached")
        if not isinstance(output, tuple):
            self._kind = type(output)
        if self._taps:
            observe((output if isinstance(output, torch.Tensor) else output[0]).clone())
        return output

    def shallow(self, feature: torch.Tensor, args: tuple, kwargs: dict):
        """Return a copy of what takes the output's place, in the kind that the call asks for.

        Raises:
            DeepCacheError: if that is none of a full pass so far.
        """
        if not self._signature.bind(self._unet, *args, **kwargs).arguments.get("return_dict", True):
            return (feature.clone(),)
        if self._kind is None:
            raise DeepCacheError("all full steps were called with return_dict=False: call the others so, too")
        if issubclass(self._kind, torch.Tensor):
            return feature.clone()
        return self._kind(sample=feature.clone())
