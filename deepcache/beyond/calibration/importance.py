"""How much an error of the feature at one step weighs in the sample."""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import torch

from deepcache.beyond.calibration.residuals import residuals
from deepcache.caching.engine import DeepCache
from deepcache.caching.layer_outputs import input_watched
from deepcache.caching.reuse import Hold
from deepcache.errors import DeepCacheError
from deepcache.runs.sampler import Sampler
from deepcache.sampling.model import ImageModel


def measure_importance(
    model: ImageModel,
    sampler: Sampler,
    branch: int,
    gram: np.ndarray,
    indices: Sequence[int],
    seed: int,
    points: int = 12,
    on_step: Callable[[int], None] = lambda step: None,
) -> np.ndarray:
    """Squared error of the sample for a squared residual of 1 at each step, shape (T,).

    At a few steps, one trajectory each, the feature of the step before is held for this step alone. Between them the
    logarithm is interpolated. The error is read in what the U-Net receives at its last call, which is the sample but
    for one step, and finer than pixels; so the last step of all counts as the one before it.

    Args:
        model: makes the images.
        sampler: with which.
        branch: where its U-Net is cut, 0-based.
        gram: G of that branch's feature, shape (T, T).
        indices: images to make, in one batch.
        seed: of their noise.
        points: how many steps are measured.
        on_step: called after each step of each of the points + 1 trajectories.

    Raises:
        DeepCacheError: if points is below 2 or the trajectory has fewer than 3 steps.
    """
    num_steps = len(gram)
    if points < 2 or num_steps < 3:
        raise DeepCacheError("importance needs at least 2 points and a trajectory of 3 steps")
    measured = np.unique(np.linspace(1, num_steps - 2, points).round().astype(int))
    last: deque[torch.Tensor] = deque(maxlen=1)
    with input_watched(model.unet, last.append):
        model.sample(indices, seed, sampler, on_step)
        uncached, found = last[0], []
        for step in measured:
            full = tuple(other for other in range(num_steps) if other != step)
            with DeepCache(model.unet, schedule=full, branch=branch, reuse=Hold()) as cache:
                cache.start_trajectory()
                model.sample(indices, seed, sampler, on_step)
            error = (last[0] - uncached).double().square().mean().item()
            residual = residuals(gram, (step - 1,), [step], np.ones((1, 1)))[0]
            found.append(error / residual if residual > 0 else 0.0)
    floor = max(max(found) * 1e-9, np.finfo(float).tiny)  # a step that leaves no trace still has a logarithm
    return np.exp(np.interp(np.arange(num_steps), measured, np.log(np.maximum(found, floor))))
