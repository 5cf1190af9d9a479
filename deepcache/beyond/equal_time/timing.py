"""What settings and their steps take, measured in whole trajectories beside each other."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace

import torch

from deepcache.beyond.caching.tgate import TGate, cross_attention
from deepcache.beyond.equal_time.setting import Setting
from deepcache.beyond.tuning.costs import LONG, Costs, measure_costs
from deepcache.beyond.tuning.judged import start_of
from deepcache.caching.execution import Execution
from deepcache.cost.timing import Timing, measure
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel

USUAL = "usual"  # among times: the trajectory that the others are compared with
GATED = "tgate"  # in place of a branch: a step after T-GATE's gate


def uncached(sampler: Sampler, calls: int) -> Setting:
    """Every step full."""
    return Setting(f"{sampler.slug}, uncached", sampler, calls, lambda unet: nullcontext(), "uncached")


def times(
    model: ImageModel,
    settings: Mapping[Hashable, Setting],
    batch_size: int,
    device: torch.device,
    repeats: int,
) -> dict[Hashable, Timing]:
    """Seconds of a batch with each setting, interleaved; see deepcache.cost.timing.measure.

    Each has a U-Net of its own with the same weights, on which it stays applied, as in a service.
    """
    with ExitStack() as stack:
        runs = {name: _trajectory(model, one, batch_size, stack) for name, one in settings.items()}
        return measure(runs, repeats, device)


def time_steps(
    model: ImageModel,
    usual: Sampler,
    places: Sequence[int | str],
    batch_size: int,
    device: torch.device,
    repeats: int,
) -> Costs:
    """Seconds of a batch, by place and, where the U-Net has cross-attention, GATED; see `measure_costs`."""
    guided, others = usual.guidance_scale > 1, {}
    with ExitStack() as stack:
        if cross_attention(model.unet):
            gated = Setting(GATED, usual, None, lambda unet: TGate(unet, 1, guided), GATED)
            others[GATED] = lambda sampler: _trajectory(model, replace(gated, sampler=sampler), batch_size, stack)
        how = (batch_size, device, Execution(), repeats)
        return measure_costs(model, usual, places, *how, others=others)


def speeds(
    model: ImageModel, settings: Mapping[float, Setting], batch_size: int, device: torch.device, repeats: int
) -> dict[float, float]:
    """How many times as fast as uncached each is in a few steps; all have the same sampler."""
    if not settings:
        return {}
    few = {name: replace(one, sampler=replace(one.sampler, steps=LONG)) for name, one in settings.items()}
    usual = uncached(next(iter(few.values())).sampler, LONG)
    found = times(model, {USUAL: usual, **few}, batch_size, device, repeats)
    return {name: found[USUAL].median / found[name].median for name in few}


def _trajectory(model: ImageModel, setting: Setting, batch_size: int, stack: ExitStack) -> Callable[[], None]:
    twin = model.twin()
    start = start_of(stack.enter_context(setting.applied(twin.unet)))

    def run() -> None:
        start()
        twin.sample(range(batch_size), 0, setting.sampler)

    return run
