"""Wall-clock time of the U-Net's steps: uncached, with caching in each mode, and with the authors' plug-in.

What is timed is a trajectory's calls of the U-Net alone, with a fixed latent: text encoder, sampler and first stage,
which caching does not touch, are left out. The ratio of MACs is of the same calls, so speed-up over that ratio
(`efficiency`) is the share of the promised saving that arrives.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import torch
from diffusers import DDIMScheduler
from torch import nn
from torch.utils import _pytree as pytree

from deepcache.caching.compiled import start_trajectory
from deepcache.caching.engine import DeepCache
from deepcache.caching.execution import EXECUTIONS, Execution
from deepcache.caching.graphs import CudaRecorder
from deepcache.caching.online import Every
from deepcache.caching.passes import full_pass
from deepcache.caching.schedules import uniform
from deepcache.cost.memory import peak_bytes
from deepcache.cost.speed_up import speed_ups
from deepcache.cost.timing import measure
from deepcache.cost.waits import waits_per_step
from deepcache.errors import DeepCacheError
from deepcache.methods.method import parse_reuse
from deepcache.models.twins import twin

# Where the shallow pass alone is compiled, nothing of an uncached step is.
UNCACHED = {"compile_shallow": "eager", "graph_shallow": "replay"}
PLUGIN = "pip_deepcache"
PLUGIN_LAYERS = 3  # its branches count three layers a block


@dataclass(frozen=True)
class Variant:
    """One way to run the U-Net over a trajectory.

    Attributes:
        implementation: full (uncached), ours, or pip_deepcache (the authors' plug-in).
        mode: see deepcache.execution_modes.
        interval: N; 1 without caching.
        reuse: what takes the place of the skipped feature, see `parse_reuse`; nothing without caching.
        run: runs so many steps.
        bytes_cached: bytes that lie in the cache after a run.
    """

    implementation: str
    mode: str
    interval: int
    reuse: str
    run: Callable[[int], None]
    bytes_cached: Callable[[], int] = lambda: 0

    @property
    def name(self) -> str:
        """Tells it from the others."""
        return f"{self.implementation} {self.mode} {self.reuse} N={self.interval}"


@dataclass(frozen=True)
class Costs:
    """MACs of one full and one shallow step."""

    full: float
    shallow: float

    def ratio(self, steps: int, interval: int) -> float:
        """How many times fewer MACs a trajectory takes than without caching."""
        full = len(uniform(steps, interval))
        return steps * self.full / (full * self.full + (steps - full) * self.shallow)


def make_variants(
    unet: nn.Module,
    branch: int,
    inputs: dict,
    steps: int,
    intervals: Sequence[int],
    modes: Iterable[str],
    reuses: Iterable[str],
    plugin: bool,
) -> list[Variant]:
    """The ways to be compared. They share the weights, and each has modules of its own: the plug-in patches them.

    Args:
        unet: the U-Net.
        branch: where it is cut, from 0.
        inputs: its arguments but for the timestep, on its device.
        steps: T, of which the timesteps are made.
        intervals: N.
        modes: see deepcache.execution_modes.
        reuses: see `parse_reuse`.
        plugin: whether the authors' plug-in is among them.

    Raises:
        DeepCacheError: if there is no such branch, a mode needs another device, or the plug-in is wanted and not
            installed or has no such branch on this U-Net.
    """
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(steps, device=inputs["sample"].device)
    arguments = {name: value for name, value in inputs.items() if name not in ("sample", "timestep")}

    def call(forward: Callable, count: int) -> None:
        with torch.no_grad():
            for timestep in scheduler.timesteps[:count]:
                forward(inputs["sample"], timestep, **arguments, return_dict=False)

    def uncached(passes: list[Callable], count: int) -> None:
        start_trajectory(passes)
        call(passes[0], count)

    executions = {mode: EXECUTIONS[mode].on(unet) for mode in [*map(_uncached, modes), *modes]}
    if plugin:
        executions["eager"] = EXECUTIONS["eager"]
    if any(one.graph for one in executions.values()):
        recorder = CudaRecorder()  # one, so that the graphs of all take no more memory than those of the largest
        executions = {mode: replace(one, graph=one.graph and recorder) for mode, one in executions.items()}
    found = []
    for mode, execution in executions.items():
        if mode not in UNCACHED:
            passes = execution.prepare(full_pass(twin(unet, unet).forward, None), device=inputs["sample"].device)
            found.append(Variant("full", mode, 1, "", partial(uncached, passes)))
        for reuse in reuses if mode in modes else ():
            found += _ours(twin(unet, unet), branch, intervals, execution, reuse, call)
    return found + (_plugin(twin(unet, unet), branch, intervals, scheduler, call) if plugin else [])


def _uncached(mode: str) -> str:
    """In which mode the uncached steps run that a mode is compared with."""
    return UNCACHED.get(mode, mode)


def _ours(
    unet: nn.Module, branch: int, intervals: Sequence[int], execution: Execution, reuse: str, call: Callable
) -> list[Variant]:
    schedule = Every(1)  # its interval may change: what was compiled serves every one
    cache = DeepCache(
        unet,
        schedule=schedule,
        branch=branch,
        reuse=parse_reuse(reuse).make(),
        compile=execution.compile,
        graph=execution.graph,
    ).enable()

    def run(interval: int, count: int) -> None:
        schedule.interval = interval
        cache.start_trajectory()
        call(unet, count)

    mode = execution.name
    return [Variant("ours", mode, n, reuse, partial(run, n), lambda: cache.bytes_cached) for n in intervals]


def _plugin(unet: nn.Module, branch: int, intervals: Sequence[int], scheduler, call: Callable) -> list[Variant]:
    try:
        from DeepCache import DeepCacheSDHelper
    except ImportError as error:
        raise DeepCacheError("the authors' plug-in is not installed: pip install DeepCache==0.1.1") from error
    if unet.config.layers_per_block != PLUGIN_LAYERS - 1:
        raise DeepCacheError("the authors' plug-in counts branches of U-Nets with two layers a block only")
    helper = DeepCacheSDHelper(SimpleNamespace(unet=unet, scheduler=scheduler))
    helper.set_params(cache_interval=1, cache_branch_id=branch)
    helper.enable()

    def run(interval: int, count: int) -> None:
        helper.set_params(cache_interval=interval, cache_branch_id=branch)
        call(unet, count)

    def nbytes() -> int:
        tensors = [leaf for leaf in pytree.tree_leaves(helper.cached_output) if isinstance(leaf, torch.Tensor)]
        storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
        return sum(storages.values())

    return [Variant(PLUGIN, "eager", n, "hold", partial(run, n), nbytes) for n in intervals]


def compare_speed(
    variants: Sequence[Variant],
    costs: Costs,
    steps: int,
    repeats: int,
    device: torch.device,
    on_run: Callable[[str], None] = lambda name: None,
    *,
    profiles: bool = True,
    limit: float = math.inf,
) -> list[dict]:
    """Time the variants in turn, then see what each keeps in memory and how often it waits for the device.

    Args:
        variants: see `make_variants`; for each mode without caching, too.
        costs: MACs of the steps.
        steps: T, at least 2.
        repeats: timed repetitions of each, after one to warm up, in which passes are compiled and recorded.
        device: where it runs.
        on_run: called with the variant's name after each timed run.
        profiles: whether `peak_bytes` and `waits_per_step` are found, which takes longer than timing; else None.
        limit: seconds of timed runs, all variants together, after which no repetition begins; there is one at least.

    Returns:
        A row for each variant: `implementation`, `mode`, `interval`, `reuse`, `seconds` of each repetition,
        `speedup` (the median over the repetitions, to the same mode without caching; where only the shallow pass is
        compiled, to eager or replayed) with the smallest and largest as `speedup_low` and `speedup_high`, `macs_ratio`,
        `efficiency` (speed-up over MACs ratio), `bytes_cached`, `peak_bytes` (beyond weights and inputs; None where it
        cannot be told) and `waits_per_step`.
    """
    found = measure({one.name: partial(one.run, steps) for one in variants}, repeats, device, on_run, limit)
    uncached = {one.mode: found[one.name].seconds for one in variants if one.implementation == "full"}
    rows = []
    for one in variants:
        seconds = found[one.name].seconds
        ratios = speed_ups(uncached[_uncached(one.mode)], seconds)
        speedup, ratio = statistics.median(ratios), costs.ratio(steps, one.interval)
        # The last one may have had another interval. A feature that is held is there after one step.
        one.run(2 if one.reuse in ("", "hold") else steps)
        rows.append(
            {
                "implementation": one.implementation,
                "mode": one.mode,
                "interval": one.interval,
                "reuse": one.reuse,
                "seconds": seconds,
                "speedup": speedup,
                "speedup_low": min(ratios),
                "speedup_high": max(ratios),
                "macs_ratio": ratio,
                "efficiency": speedup / ratio,
                "bytes_cached": one.bytes_cached(),
                "peak_bytes": _peak(one, device) if profiles else None,
                "waits_per_step": _waits(one, steps, device) if profiles else None,
            }
        )
    return rows


def _peak(variant: Variant, device: torch.device) -> int | None:
    """Of one full and one shallow step; replayed graphs and, on the CPU, compiled passes escape the meter."""
    execution = EXECUTIONS[variant.mode]
    if execution.graph or (execution.compile and device.type != "cuda"):
        return None
    return peak_bytes(lambda: variant.run(2), device)


def _waits(variant: Variant, steps: int, device: torch.device) -> float:
    return waits_per_step(variant.run, min(max(2, variant.interval), steps // 2), device)
