"""A call of a U-Net as tensors by name, in one order: what an exported program takes."""

import inspect
from collections.abc import Mapping

import torch

from deepcache.errors import DeepCacheError

ADDED = "added_cond_kwargs"  # SDXL's: a dictionary of tensors
PLAIN = (bool, int, float, str, type(None))
SAMPLE, TIMESTEP = "sample", "timestep"


def named_tensors(forward, args: tuple, kwargs: dict) -> dict[str, torch.Tensor]:
    """The tensors of a call of a diffusers U-Net's `forward`; the timestep is float32, shape ().

    Raises:
        DeepCacheError: if the call has something that is no tensor and changes what is computed.
    """
    names = list(inspect.signature(forward).parameters)[1:]
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    given.pop("return_dict", None)
    found = {SAMPLE: given.pop(SAMPLE)}
    timestep = torch.as_tensor(given.pop(TIMESTEP)).to(found[SAMPLE].device, torch.float32)
    if timestep.numel() > 1 and not bool((timestep == timestep.flatten()[0]).all()):
        raise DeepCacheError("an exported U-Net takes one timestep for the whole batch")
    found[TIMESTEP] = timestep.flatten()[0]
    for name, value in given.items():
        if name == ADDED and isinstance(value, Mapping):
            found |= value
        elif isinstance(value, torch.Tensor):
            found[name] = value
        elif value is not None and not (isinstance(value, Mapping) and not value):
            raise DeepCacheError(f"{name}: an exported U-Net takes tensors alone")
    return found


def as_call(forward, tensors: Mapping[str, torch.Tensor]) -> dict:
    """Keyword arguments of `forward`, of its tensors by name."""
    names = inspect.signature(forward).parameters
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
