"""Compiled passes whose guards are checked once in a trajectory, not at every step."""

import types
from collections.abc import Callable, Iterable
from functools import partial

import torch


class Compiled:
    """A pass that torch compiles.

    Before it runs compiled code, torch compares all that the code depends on with what it was, layer by layer; for a
    U-Net with few channels that takes a fifth of a step. Layers do not change within a trajectory, so that is done at
    the first call after `start_trajectory` with arguments of a kind, and the code that was found right then runs at the
    later ones with arguments of that kind. Only where torch has one code is it known which one ran: after compiling for
    other shapes, too, it compares each time.

    Args:
        function: takes and returns tensors; compiled by its code object, which must be its own.
        options: torch.compile's.
    """

    def __init__(self, function: types.FunctionType, **options):
        from torch._dynamo.eval_frame import _debug_get_cache_entry_list  # seconds, which only compiling needs

        self._function = function
        self._codes = partial(_debug_get_cache_entry_list, function.__code__)
        self._whole = options.get("fullgraph", False)  # else parts of it are looked up while it runs
        self._compiled = torch.compile(function, **options)
        self._checked: dict[tuple, Callable] = {}

    def start_trajectory(self) -> None:
        """Layers may have changed: the next calls compare again."""
        self._checked.clear()

    def __call__(self, *args, **kwargs):
        """As the function."""
        kind = _kind((args, kwargs)) + _state()
        code = self._checked.get(kind)
        if code is not None:
            return code(*args, **kwargs)
        output = self._compiled(*args, **kwargs)
        found, function = self._codes(), self._function
        if self._whole and len(found) == 1:
            self._checked[kind] = types.FunctionType(
                found[0].code, function.__globals__, function.__name__, closure=function.__closure__
            )
        return output


def start_trajectory(passes: Iterable[Callable]) -> None:
    """Tell those that are compiled."""
    for one in passes:
        if isinstance(one, Compiled):
            one.start_trajectory()


def _kind(value) -> tuple:
    """What compiled code may depend on in an argument; equal for those that it treats alike."""
    if isinstance(value, torch.Tensor):
        return type(value), value.shape, value.stride(), value.dtype, value.device, value.requires_grad
    if isinstance(value, (tuple, list)):
        return type(value), *map(_kind, value)
    if isinstance(value, dict):
        return dict, *value, *map(_kind, value.values())
    if value is None or isinstance(value, (bool, int, float, str)):
        return type(value), value
    return (object(),)  # equals nothing


def _state() -> tuple:
    """What it may depend on beside the arguments, and may be set for a single call."""
    autocast = [(torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda")]
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *autocast
