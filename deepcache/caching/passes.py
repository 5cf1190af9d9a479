"""The two passes of a cached U-Net, each a function of tensors alone: it can be compiled or captured as a whole."""

import types
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import nn

from deepcache.caching.layer_outputs import first_output
from deepcache.caching.writes import Writes


class Tap:
    """Takes what a layer returns while it is open: a forward hook.

    Args:
        deliver: called with the feature at once, so that an older one need not outlive it; else the pass returns it.
        writes: knows whether the feature must be copied; else it always is.
    """

    def __init__(self, deliver: Callable[[torch.Tensor], None] | None = None, writes: Writes | None = None):
        self.deliver = deliver
        self.writes = writes
        self.open = False  # somebody may call the layer alone, outside of a pass
        self.feature: torch.Tensor | None = None

    def __deepcopy__(self, memo: dict) -> "Tap":
        """A copy of the layer is nobody's: its hook is never open."""
        return Tap()

    def __reduce__(self):
        return Tap, ()

    def __call__(self, module: nn.Module, args: tuple, output) -> None:
        """Keep what FreeU and the like do not write into afterwards."""
        if self.open:
            feature = first_output(output)
            feature = feature.clone() if self.writes is None else self.writes.kept(feature)
            if self.deliver is None:
                self.feature = feature
            else:
                self.deliver(feature)


def full_pass(forward: Callable, tap: Tap | None) -> Callable:
    """Make (arguments of the U-Net) -> (its output, the feature, or None if it was delivered or there is no tap)."""

    def full(*args, **kwargs):
        if tap is None:
            return forward(*args, **kwargs), None
        tap.open = True
        try:
            with tap.writes or nullcontext():
                output = forward(*args, **kwargs)
        finally:
            tap.open = False
            feature, tap.feature = tap.feature, None
        return output, feature

    return _with_own_code(full)


def shallow_pass(view: nn.Module, writes: Writes | None = None) -> Callable:
    """Make (feature, arguments of the U-Net) -> its output, of a view as `shallow_view` builds it.

    The feature is left as it is; `writes` as in `Tap`.
    """

    def shallow(feature, *args, **kwargs):
        view.deepcache_cached.feature = feature.clone() if writes is None else writes.given(feature)
        try:
            with writes or nullcontext():
                return view.forward(*args, **kwargs)
        finally:
            view.deepcache_cached.feature = None

    return _with_own_code(shallow)


def _with_own_code(function: types.FunctionType) -> types.FunctionType:
    """torch.compile counts recompilations by code object: those of one model must not use up another's."""
    function.__code__ = function.__code__.replace()
    return function
