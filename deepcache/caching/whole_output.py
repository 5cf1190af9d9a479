"""Caching behind a U-Net's last layer: what is kept is its output, and at a shallow step none of its layers runs."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from deepcache.caching.attention_readers import SkippedAttention
from deepcache.caching.execution import Execution
from deepcache.caching.graphs import Graphed
from deepcache.caching.passes import full_pass


class WholeOutput:
    """The passes of such a U-Net; what they offer is what CutUNet's do.

    Args:
        unet: a diffusers U-Net.
        forward: its own.
        execution: how the full pass runs.

    Attributes:
        passes: the full one.
        eager: whether that runs as it is.
        skipped_attention: all of it.
        is_stale: nothing is shared with the U-Net that could be replaced there.

    Raises:
        DeepCacheError: if the pass cannot run like that.
    """

    is_stale = False

    def __init__(self, unet: nn.Module, forward: Callable, execution: Execution):
        execution = execution.on(unet)
        self._execution = execution
        self.eager = execution.eager
        self.skipped_attention = SkippedAttention(unet, nn.Module())
        self.passes = execution.prepare(full_pass(forward, None), device=next(unet.parameters()).device)
        self._wrap: Callable[[torch.Tensor], object] | None = None  # as the last full pass returned it

    @property
    def mode(self) -> str:
        """How the pass runs, see deepcache.execution_modes."""
        replays = all(one.replays for one in self.passes if isinstance(one, Graphed))
        return replace(self._execution, graph=self._execution.graph if replays else False).name

    def remove(self) -> None:
        """The U-Net is as it was."""

    def full(self, args: tuple, kwargs: dict, observe: Callable[[torch.Tensor], None]):
        """Run all of it; `observe` is called with a copy of the output."""
        output, _ = self.passes[0](*args, **kwargs)
        kind = type(output)
        self._wrap = (lambda sample: (sample,)) if kind is tuple else (lambda sample: kind(sample=sample))
        observe(output[0].clone())
        return output

    def shallow(self, feature: torch.Tensor, args: tuple, kwargs: dict):
        """Return a copy of what takes the output's place."""
        return self._wrap(feature.clone())
