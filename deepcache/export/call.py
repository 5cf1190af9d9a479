"""A call of a U-Net as tensors by name, in one order: what an exported program takes."""

import functools
import inspect
from collections.abc import Callable, Mapping

import torch

from deepcache.errors import DeepCacheError

ADDED = "added_cond_kwargs"  # SDXL's: a dictionary of tensors
SAMPLE, TIMESTEP = "sample", "timestep"


def named_tensors(forward, args: tuple, kwargs: dict) -> tuple[dict[str, torch.Tensor], bool]:
    """(the tensors of a call of a diffusers U-Net's `forward`, whether it asks for diffusers' kind of output).

    They are on the CPU and in single precision, but for integers; the timestep has the shape ().

    Raises:
        DeepCacheError: if the sample or the timestep is missing, or the call has something that is no tensor.
    """
    given = {**dict(zip(_argument_names(forward), args, strict=False)), **kwargs}
    returns = given.pop("return_dict", True)
    for name in (SAMPLE, TIMESTEP):
        if given.get(name) is None:
            raise DeepCacheError(f"{name}: an exported U-Net needs it")
    found = {SAMPLE: given.pop(SAMPLE), TIMESTEP: _one_timestep(given.pop(TIMESTEP))}
    added = given.pop(ADDED, None) or {}
    for name, value in {**given, **added}.items():
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif value is not None and value != {}:
            raise DeepCacheError(f"{name}: an exported U-Net takes tensors alone")
    return {name: one.float().cpu() if one.is_floating_point() else one.cpu() for name, one in found.items()}, returns


@functools.cache
def _argument_names(forward: Callable) -> tuple[str, ...]:
    """Asked once for a U-Net's class, not at each step."""
    return tuple(inspect.signature(forward).parameters)[1:]


def _one_timestep(timestep: torch.Tensor | float) -> torch.Tensor:
    timesteps = torch.as_tensor(timestep).float().flatten()
    if (timesteps != timesteps[0]).any():
        raise DeepCacheError("an exported U-Net takes one timestep for the whole batch")
    return timesteps[0]


def as_call(forward, tensors: Mapping[str, torch.Tensor]) -> dict:
    """Keyword arguments of `forward`, of its tensors by name."""
    names = _argument_names(forward)
    own = {name: value for name, value in tensors.items() if name in names}
    added = {name: value for name, value in tensors.items() if name not in names}
    return {**own, **({ADDED: added} if added else {}), "return_dict": False}


def check_names(wanted: Mapping[str, tuple], tensors: Mapping[str, torch.Tensor]) -> None:
    """DeepCacheError unless a call has the tensors that a program takes, of these shapes."""
    for name in sorted({*wanted, *tensors}):
        if name not in tensors:
            raise DeepCacheError(f"{name}: this U-Net was exported with it, and the call has none")
        if name not in wanted:
            raise DeepCacheError(f"{name}: this U-Net was exported without it: export it anew, with it")
        if tuple(wanted[name]) != tuple(tensors[name].shape):
            asked, made = ("x".join(map(str, one)) for one in (tensors[name].shape, wanted[name]))
            raise DeepCacheError(f"{name} is {asked}, and this U-Net was exported for {made}: export it for that size")
