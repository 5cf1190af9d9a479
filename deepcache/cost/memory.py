"""Memory that sampling takes, and how much of it the cache holds."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from deepcache.caching.engine import DeepCache


def peak_bytes(run: Callable[[], object], device: torch.device) -> int:
    """Most that tensors took while something ran, beyond what stood there before: see `Memory`."""
    if device.type == "cuda":
        meter = _AllocatorPeak(device)
        meter.restart()
        run()
        return meter.peak
    with LiveTensors() as meter:
        run()
    return meter.peak


@dataclass(frozen=True)
class Memory:
    """Bytes of one trajectory, for all images of its batch.

    Attributes:
        peaks: for each call of the U-Net, most that tensors took while it ran, beyond what stood there before the
            trajectory (weights). On the CPU every tensor counts as long as its storage lives, not what an operation
            needs inside; on a GPU it is the allocator's statistics, which rounds sizes and counts such needs.
        cached: most that the cache held between two calls.
        resident: most that the process had in physical memory, libraries and weights included; None on a GPU and where
            the system does not tell.
    """

    peaks: tuple[int, ...]
    cached: int
    resident: int | None

    @property
    def peak(self) -> int:
        """The largest of `peaks`. Text encoder and first stage, which caching does not touch, are left out."""
        return max(self.peaks)


def measure_memory(
    unet: nn.Module, sample: Callable[[], object], device: torch.device, cache: DeepCache | None = None
) -> Memory:
    """Follow the memory of one trajectory.

    A trajectory of two full and two shallow steps is as good as a long one: the cache's size does not grow; the first
    full step has a copy of the feature beside what it computes, later ones have the feature before. Run a trajectory
    before the first one that is measured: libraries allocate when they are first called.

    Args:
        unet: the one that is called, with caching enabled on it or not.
        sample: makes the images of one trajectory.
        device: where the U-Net is.
        cache: what is enabled on the U-Net; None without caching.
    """
    meter = _AllocatorPeak(device) if device.type == "cuda" else LiveTensors()
    peaks, cached = [], []

    def after(*_) -> None:
        peaks.append(meter.peak)
        cached.append(0 if cache is None else cache.bytes_cached)

    handles = [
        unet.register_forward_pre_hook(lambda *_: meter.restart()),
        unet.register_forward_hook(after),
    ]
    has_resident = device.type != "cuda" and _restart_resident_peak()
    try:
        with meter if isinstance(meter, LiveTensors) else nullcontext():
            sample()
    finally:
        for handle in handles:
            handle.remove()
    return Memory(tuple(peaks), max(cached), _resident_peak() if has_resident else None)


class LiveTensors(TorchDispatchMode):
    """Follows the storages that operations make while it is entered; none of what was there before.

    Attributes:
        live: bytes of the storages that live now.
        peak: the most they were since `restart`.
    """

    def __init__(self):
        super().__init__()
        self.live = self.peak = 0

    def restart(self) -> None:
        """Forget the peak so far."""
        self.peak = self.live

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operation and follow what is new in its result: neither a view nor an argument."""
        result = func(*args, **(kwargs or {}))
        seen = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(result):
            if storage._cdata not in seen:
                seen.add(storage._cdata)
                self._add(storage.nbytes())
                weakref.finalize(storage, self._add, -storage.nbytes()).atexit = False
        return result

    def _add(self, nbytes: int) -> None:
        self.live += nbytes
        self.peak = max(self.peak, self.live)


def _storages(tree) -> Iterator[torch.UntypedStorage]:
    return (leaf.untyped_storage() for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor))


class _AllocatorPeak:
    """The CUDA allocator's peak, beyond what is allocated when this is made."""

    def __init__(self, device: torch.device):
        self._device = device
        self._before = torch.cuda.memory_allocated(device)

    def restart(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)

    @property
    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self._device) - self._before


# Linux's high-water mark of the resident set can be set back (proc(5), clear_refs); getrusage's cannot.


def _restart_resident_peak() -> bool:
    """Set the process's peak back to what it has now; whether that was possible."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True


def _resident_peak() -> int:
    """Bytes."""
    line = next(
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM:")
    )
    return int(line.split()[1]) * 1024
