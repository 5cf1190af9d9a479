"""Choosing the device to compute on."""

import os

import torch

from deepcache.errors import DeepCacheError
from deepcache.gpu_lock import take_gpu
from deepcache.gpus import JOBS_PER_GPU


def choose_device(name: str) -> torch.device:
    """Turn `auto`, `cpu`, `cuda` or `cuda:1` into a device; auto takes the GPU where there is one.

    `cuda` is a free GPU of those that CUDA_VISIBLE_DEVICES shows, this process's until it ends; where all are taken, it
    waits for one. The variable DEEPCACHE_JOBS_PER_GPU says how many processes may share a GPU, 1 without it; at 0
    somebody else hands out GPUs, and it is the first. `cuda:1` is taken at its word. A GPU becomes torch's current one.

    Raises:
        DeepCacheError: if there is no such device, or the variable is no such number.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeepCacheError(f"device {name!r} is not known: use auto, cpu or cuda") from error
    if device.type != "cuda":
        return device
    count = torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise DeepCacheError(f"device {name!r} is not there: {count} CUDA devices found")
    if device.index is None:
        device = torch.device("cuda", _free_gpu(count))
    torch.cuda.set_device(device)
    return device


def only(device: torch.device) -> dict[str, str]:
    """Environment in which programs that are started from here see this GPU alone, and need not take it."""
    if device.type != "cuda":
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    name = visible.split(",")[device.index].strip() if visible else str(device.index)
    return {"CUDA_VISIBLE_DEVICES": name, JOBS_PER_GPU: "0"}


def _free_gpu(count: int) -> int:
    text = os.environ.get(JOBS_PER_GPU, "1")
    if not text.isdecimal():
        raise DeepCacheError(f"{JOBS_PER_GPU}={text}: must be how many jobs share a GPU, or 0")
    if int(text) == 0:
        return 0
    # Properties are read without a context, which would take memory on every GPU.
    return take_gpu([str(torch.cuda.get_device_properties(index).uuid) for index in range(count)], int(text))


def choose_precision(name: str | None, device: torch.device) -> str:
    """The precision that is asked for; None: float16 on a GPU, else float32."""
    return name or ("float16" if device.type == "cuda" else "float32")
