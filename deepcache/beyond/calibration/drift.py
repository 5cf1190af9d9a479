"""When, after CacheQuant (Liu et al. 2025, arXiv 2503.01323): the steps between which the held feature drifts least.

Theirs groups the steps by dynamic programming so that the summed distance of features to the one that stands for their
group is least, quantisation included. Here there is none, and the distance is read off the Gram matrix.
"""

import numpy as np

from deepcache.errors import DeepCacheError


def drift_steps(gram: np.ndarray, num_full: int) -> tuple[int, ...]:
    """The schedule with `num_full` full steps for which the summed distance to the held feature is least (exact).

    Args:
        gram: G, shape (T, T), see `FeatureGram`.
        num_full: number of full steps, k.

    Raises:
        DeepCacheError: unless 1 <= num_full <= T.
    """
    steps = len(gram)
    if not 1 <= num_full <= steps:
        raise DeepCacheError(f"num_full must be between 1 and the number of steps ({steps}), not {num_full}")
    # cost[a, b]: of holding the feature of step a at steps a + 1 to b - 1
    cost = np.full((steps, steps + 1), np.inf)
    for start in range(steps):
        after = np.arange(start + 1, steps)
        squares = gram[after, after] - 2 * gram[after, start] + gram[start, start]
        distances = np.sqrt(np.maximum(squares, 0))
        cost[start, start + 1 :] = np.concatenate([[0.0], np.cumsum(distances)])
    least = cost[0].copy()  # of one full step, up to step b
    before = []
    for _ in range(num_full - 1):
        total = least[:steps, None] + cost  # one full step more, at a
        before.append(total.argmin(axis=0))
        least = total.min(axis=0)
    schedule, end = [], steps
    for chosen in reversed(before):
        end = int(chosen[end])
        schedule.append(end)
    return (0, *reversed(schedule))
