"""When, as others choose it: schedules to compare with, each with exactly as many full steps as it is given.

See deepcache.caching.schedules for the paper's own.
"""

import math

import numpy as np

from deepcache.caching.schedules import check_budget
from deepcache.errors import DeepCacheError

# Steps of 50 that Faster Diffusion (Li et al. 2023, arXiv 2312.09608) runs fully with Stable Diffusion.
KEY_STEPS, KEY_STEPS_OF = (0, 1, 2, 3, 5, 10, 15, 25, 35), 50
WARM_UP, WINDOW = 5, 2  # Spectrum's first full steps, and its first window


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


def growing_windows(num_steps: int, num_full: int) -> tuple[int, ...]:
    """Spectrum's full steps (arXiv 2603.01623): first ones without a gap, then after windows that grow by alpha each.

    As many first ones as the authors take, or fewer where windows would have to grow by more than T / k each; of all
    alpha on a fine grid the first that leads to k full steps, or else to most of those below k: what is left then lies
    at the start.

    Args:
        num_steps: steps of the trajectory, T.
        num_full: number of full steps, k.

    Raises:
        DeepCacheError: unless 1 <= k <= T.
    """
    check_budget(num_steps, num_full)
    alphas = np.arange(0, num_steps / num_full, 0.05)
    tried = (_windows(num_steps, first, alpha) for first in range(min(WARM_UP, num_full), 0, -1) for alpha in alphas)
    best: tuple[int, ...] = (0,)
    for found in tried:
        if len(best) < len(found) <= num_full:
            best = found
        if len(best) == num_full:
            break
    missing = [step for step in range(num_steps) if step not in best]
    return tuple(sorted([*best, *missing[: num_full - len(best)]]))


def _windows(num_steps: int, warm_up: int, alpha: float) -> tuple[int, ...]:
    found, size, skipped = list(range(warm_up)), float(WINDOW), 0
    for step in range(warm_up, num_steps):
        if (skipped + 1) % math.floor(size) == 0:
            found, size, skipped = [*found, step], size + alpha, 0
        else:
            skipped += 1
    return tuple(found)


def _distinct(places: np.ndarray, num_steps: int) -> tuple[int, ...]:
    """The nearest increasing integers from 0 to num_steps - 1, as many as there are places."""
    steps = [0]
    for i, place in enumerate(places[1:], start=1):
        last_allowed = num_steps - (len(places) - i)  # leaves a step for each one that follows
        steps.append(min(max(round(float(place)), steps[-1] + 1), last_allowed))
    return tuple(steps)
