"""Memory that sampling takes without caching, and with caching at some branches."""

from collections.abc import Sequence
from dataclasses import replace

from deepcache.cost.memory import measure_memory
from deepcache.methods.method import Method
from deepcache.methods.uniform import Uniform
from deepcache.progress import progress
from deepcache.sampling.request import Request

STEPS = 4  # of which every other is full: peak and cache are those of a longer trajectory


def measure_model_memory(request: Request, branches: Sequence[int], batch_size: int) -> dict:
    """Follow a trajectory of four steps without caching, and one of each branch.

    Args:
        request: the model, and its sampler but for the number of steps.
        branches: 0-based.
        batch_size: images in a trajectory.

    Returns:
        `sampler`, `weights_bytes` of the U-Net, and for `uncached` and each of the `branches`: `bytes_cached` of one
        image, `peak_bytes` of the batch beyond the weights, `resident_bytes` (see deepcache.cost.memory).
    """
    request = replace(request, sampler=replace(request.sampler, steps=STEPS))
    model = request.model

    def sample() -> None:
        model.sample(range(batch_size), 0, request.sampler)

    def measure(method: Method) -> dict:
        with request.with_method(method).caching.applied(model.unet) as cache:
            sample()  # so that libraries have allocated what they keep
            if cache is not None:
                cache.start_trajectory()
            found = measure_memory(model.unet, sample, request.device, cache)
        return {
            "bytes_cached": found.cached // batch_size,
            "peak_bytes": found.peak,
            "resident_bytes": found.resident,
        }

    weights = [*model.unet.parameters(), *model.unet.buffers()]
    shown = progress(branches, f"memory of {request.manifest['name']}", unit="branch")
    return {
        "sampler": request.sampler.slug,
        "weights_bytes": sum(tensor.nbytes for tensor in weights),
        "uncached": measure(Method()),
        "branches": {branch: measure(Method(Uniform(2), branch)) for branch in shown},
    }
