"""When, as others choose it: schedules to compare with, each with exactly as many full steps as it is given.

See deepcache.caching.schedules for the paper's own.
"""

import math

import numpy as np

from deepcache.caching.schedules import check_budget
from deepcache.errors import DeepCacheError

# Steps of 50 that Faster Diffusion (Li et al. 2023, arXiv 2312.09608) runs fully with Stable Diffusion.
KEY_STEPS, KEY_STEPS_OF = (0, 1, 2, 3, 5, 10, 15, 25, 35), 50


def window(num_steps: int, num_full: int, share: float, at: str = "start") -> tuple[int, ...]:
    """Every step of a window at the trajectory's start or end is full; what is left is spread evenly over the rest.

    Args:
        num_steps: steps of the trajectory, T.
        num_full: number of full steps, k.
        share: part of the full steps that lie in the window, from 0 (none: evenly spread) to 1.
        at: "start" (the noisiest steps) or "end".

    Raises:
        DeepCacheError: if an argument is out of range.
    """
    check_budget(num_steps, num_full)
    if not 0 <= share <= 1:
        raise DeepCacheError(f"share must be between 0 and 1, not {share!r}")
    if at not in ("start", "end"):
        raise DeepCacheError(f"at must be 'start' or 'end', not {at!r}")
    inside = min(round(share * num_full), num_full - 1) if at == "end" else round(share * num_full)
    rest = num_full - inside
    first, beyond = (inside, num_steps) if at == "start" else (0, num_steps - inside)
    dense = range(inside) if at == "start" else range(beyond, num_steps)
    # Of a rest that begins after a window of full steps the first step is not the one to run.
    offset = 0 if first == 0 else 1
    spread = [first + (i + offset) * (beyond - first) // (rest + offset) for i in range(rest)]
    return tuple(sorted({*dense, *spread}))


def linear_gap(num_steps: int, num_full: int, ratio: float) -> tuple[int, ...]:
    """Gaps between full steps that grow linearly, the last `ratio` times as long as the first.

    Args:
        num_steps: steps of the trajectory, T.
        num_full: number of full steps, k.
        ratio: above 1 full steps are dense at the start, below 1 at the end, 1 spreads them evenly.

    Raises:
        DeepCacheError: if an argument is out of range.
    """
    check_budget(num_steps, num_full)
    if not 0 < ratio < math.inf:
        raise DeepCacheError(f"ratio must be a number above 0, not {ratio!r}")
    gaps = np.linspace(1, ratio, num_full)
    return _distinct(np.concatenate([[0], np.cumsum(gaps)[:-1]]) * num_steps / gaps.sum(), num_steps)


def key_steps(num_steps: int, num_full: int) -> tuple[int, ...]:
    """Faster Diffusion's key steps, nine of 50, for another number of steps: read off the curve through them."""
    check_budget(num_steps, num_full)
    known = [*KEY_STEPS, KEY_STEPS_OF]
    places = np.linspace(0, len(KEY_STEPS), num_full + 1)[:-1]
    return _distinct(np.interp(places, range(len(known)), known) * num_steps / KEY_STEPS_OF, num_steps)


def _distinct(places: np.ndarray, num_steps: int) -> tuple[int, ...]:
    """The nearest increasing integers from 0 to num_steps - 1, as many as there are places."""
    steps = [0]
    for i, place in enumerate(places[1:], start=1):
        last_allowed = num_steps - (len(places) - i)  # leaves a step for each one that follows
        steps.append(min(max(round(float(place)), steps[-1] + 1), last_allowed))
    return tuple(steps)
