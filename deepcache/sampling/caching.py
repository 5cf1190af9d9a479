"""From a run's method to caching on its U-Net."""

from contextlib import AbstractContextManager, nullcontext

import torch

from deepcache.caching.engine import DeepCache
from deepcache.caching.reuse import Forecast, Hold, Reuse, Zeros
from deepcache.results.runs import Method, Sampler


def make_reuse(name: str) -> Reuse:
    """Build what takes the place of the skipped feature: `hold`, `zeros`, `forecast1`, `forecast2`, ..."""
    if name.startswith("forecast"):
        return Forecast(int(name.removeprefix("forecast")))
    return {"hold": Hold, "zeros": Zeros}[name]()


def cached(unet: torch.nn.Module, method: Method, sampler: Sampler) -> AbstractContextManager[DeepCache | None]:
    """A context in which the U-Net runs as the method says; it yields None where the method caches nothing."""
    return cached_at(unet, method, method.full_steps(sampler.schedule_length))


def cached_at(pipe_or_unet, method: Method, full_steps: tuple[int, ...]) -> AbstractContextManager[DeepCache | None]:
    """As `cached`, for a pipeline as well, with the full steps given."""
    if method.schedule == "full":
        return nullcontext()
    return DeepCache(pipe_or_unet, schedule=full_steps, branch=method.branch, reuse=make_reuse(method.reuse))
