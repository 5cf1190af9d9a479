"""From a run's method to caching on its U-Net."""

from contextlib import AbstractContextManager, nullcontext

import torch

from deepcache.beyond.caching.forecast import Forecast
from deepcache.beyond.caching.plan import Plan
from deepcache.caching.engine import DeepCache
from deepcache.caching.reuse import Hold, Reuse, Zeros
from deepcache.errors import DeepCacheError
from deepcache.runs.method import Method
from deepcache.runs.sampler import Sampler


def make_reuse(name: str) -> Reuse:
    """Build what takes the place of the skipped feature: `hold`, `zeros`, `forecast1`, `forecast2`, ..."""
    if name.startswith("forecast"):
        return Forecast(int(name.removeprefix("forecast")))
    return {"hold": Hold, "zeros": Zeros}[name]()


def cached(
    unet: torch.nn.Module, method: Method, sampler: Sampler, plan: Plan | None = None
) -> AbstractContextManager[DeepCache | None]:
    """A context in which the U-Net runs as the method says; it yields None where the method caches nothing.

    Args:
        unet: the U-Net.
        method: how it is cached.
        sampler: what calls it.
        plan: where the method's schedule is `chosen`, what was chosen.

    Raises:
        DeepCacheError: if the method does not fit the sampler, or the plan does not fit the method.
    """
    if plan is None:
        return cached_at(unet, method, method.full_steps(sampler.schedule_length))
    if method.schedule != "chosen":
        raise DeepCacheError(f"{method.slug} takes no plan: its full steps are known")
    wanted = method.num_full(sampler.schedule_length)
    if len(plan.full_steps) != wanted:
        raise DeepCacheError(f"this plan has {len(plan.full_steps)} full steps, {method.slug} has {wanted}")
    return DeepCache(unet, schedule=plan.full_steps, branch=method.branch, reuse=plan.reuse())


def cached_at(pipe_or_unet, method: Method, full_steps: tuple[int, ...]) -> AbstractContextManager[DeepCache | None]:
    """As `cached`, for a pipeline as well, with the full steps given."""
    if method.schedule == "full":
        return nullcontext()
    return DeepCache(pipe_or_unet, schedule=full_steps, branch=method.branch, reuse=make_reuse(method.reuse))
