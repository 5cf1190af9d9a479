"""Choosing the device to compute on."""

import torch

from deepcache.errors import DeepCacheError


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:1` into a device; auto takes the GPU where there is one.

    Raises:
        DeepCacheError: if there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeepCacheError(f"device {name!r} is not known: use auto, cpu or cuda") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeepCacheError(f"device {name!r} is not there: {torch.cuda.device_count()} CUDA devices found")
    return device
