"""Compiled passes whose guards are checked once in a trajectory, not at every step."""

import types
from collections.abc import Callable, Iterable

import torch

from deepcache.caching.autocast import autocast_state


class Compiled:
    """A pass that torch compiles.

    Before it runs compiled code, torch compares all that the code depends on with what it was, layer by layer; for a
    U-Net with few channels that takes a fifth of a step. Layers do not change within a trajectory, so that is done at
    the first call after `start_trajectory` with arguments of a kind, and the code that was found right then runs at the
    later ones with arguments of that kind. Once there is code for other shapes, too, it is not known which one ran, and
    torch compares each time.

    Args:
        function: takes and returns tensors; compiled by its code object, which must be its own.
        options: torch.compile's.
    """

    def __init__(self, function: types.FunctionType, **options):
        from torch._dynamo import eval_frame  # seconds, which only compiling needs

        self._torch = eval_frame
        self._function = function
        self._whole = options.get("fullgraph", False)
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
        code = self._code_that_ran()
        if code is not None:
            function = self._function
            self._checked[kind] = types.FunctionType(
                code, function.__globals__, function.__name__, closure=function.__closure__
            )
        return output

    def _code_that_ran(self) -> types.CodeType | None:
        """None where it is not certain: one of several, none in another stance of torch.compiler, only a part."""
        if not self._whole or self._torch._stance.stance != "default":
            return None
        found = self._torch._debug_get_cache_entry_list(self._function.__code__)
        return found[0].code if len(found) == 1 else None


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
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), autocast_state()
