"""Where the time of a full and of a shallow step goes, by kind of operation."""

from collections import Counter
from collections.abc import Callable

import torch
from torch import nn
from torch.autograd import DeviceType

from deepcache.caching.engine import DeepCache
from deepcache.cost.profiled import profiled
from deepcache.cost.timing import measure

# Kind -> parts of the names of torch's operations; the first kind that fits counts.
KINDS = {
    "convolution": ("conv",),
    "attention": ("attention",),
    "matrix product": ("mm", "linear", "matmul"),
    "normalisation": ("norm",),
    "activation": ("silu", "gelu", "softmax"),
    "copying": ("copy", "cat", "clone"),
}
OTHER = "other operations"
BETWEEN = "between operations"
STEP = "whole step"


def step_operations(unet: nn.Module, branch: int, inputs: dict, repeats: int, device: torch.device) -> list[dict]:
    """Time a full and a shallow step of a cached U-Net in eager mode, and profile each once.

    Args:
        unet: the U-Net.
        branch: where it is cut, from 0.
        inputs: its arguments, on its device.
        repeats: timed repetitions of each, after one to warm up.
        device: where it runs.

    Returns:
        A row for each kind of operation: `operation`, `full_seconds`, `shallow_seconds`. On a GPU it is the time of the
        kernels. Last come what of the median wall-clock time is none of them (launching, Python; where the profiler
        slows operations down more than that, nothing), and that time itself.

    Raises:
        DeepCacheError: if the U-Net has no such branch.
    """
    with DeepCache(unet, schedule=(0,), branch=branch) as cache, torch.no_grad():

        def later_step() -> None:
            cache.next_step()
            unet(**inputs)

        def first_step() -> None:
            cache.start_trajectory()
            later_step()

        steps = {"full": first_step, "shallow": later_step}
        seconds = {name: found.median for name, found in measure(steps, repeats, device).items()}
        by_kind = {name: _by_kind(step, device) for name, step in steps.items()}
    for name, found in by_kind.items():
        found[BETWEEN] = max(0.0, seconds[name] - found.total())
        found[STEP] = seconds[name]
    return [
        {"operation": kind, **{f"{name}_seconds": by_kind[name][kind] for name in steps}}
        for kind in [*KINDS, OTHER, BETWEEN, STEP]
    ]


def _by_kind(step: Callable[[], None], device: torch.device) -> Counter:
    found: Counter = Counter()
    clock = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    for event in profiled(step, device):
        if event.device_type == DeviceType.CPU:  # a kernel's time stands beside what launched it, too
            found[kind_of(event.key)] += getattr(event, clock) / 1e6
    return found


def kind_of(operation: str) -> str:
    """The kind of one of torch's operations, such as aten::addmm."""
    name = operation.rpartition("::")[2].lower()
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), OTHER)
