"""The full steps with the least predicted error of the final image."""

from collections.abc import Callable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from deepcache.beyond.calibration.rows import Rows
from deepcache.errors import DeepCacheError

MOVES = (1, -1, 2, -2, 4, -4, 7, -7)  # by how much a full step is moved
DROPPED = 5  # how many full steps, the least missed, are tried to be had elsewhere


def additive_steps(rows: Rows, num_full: int, order: int, max_gap: int | None = None) -> tuple[int, ...]:
    """The schedule for which the squared errors of its stretches of shallow steps add up to the least (exact).

    A stretch's error is its part of the image's; between stretches nothing cancels. Features are held (order 0) or lie
    on the line through the last two full steps' (order 1). By dynamic programming over pairs of full steps: about
    T g^2 stretches for gaps up to g.

    Args:
        rows: of the model, sampler and branch.
        num_full: number of full steps, k.
        order: 0 or 1.
        max_gap: the largest distance of two full steps that is considered; None: any.

    Raises:
        DeepCacheError: unless 1 <= k <= T and the gaps can cover the trajectory.
    """
    steps = rows.num_steps
    if not 1 <= num_full <= steps:
        raise DeepCacheError(f"num_full must be between 1 and the number of steps ({steps}), not {num_full}")
    gap = steps if max_gap is None else max_gap
    if gap < 1 or gap * num_full < steps:
        raise DeepCacheError(f"max_gap {max_gap} is too small: {num_full} full steps cannot cover {steps} steps")
    # Of the schedules whose latest full steps are last - distance and last, the cost of what lies before `last`, by
    # their number; the first full step has none before it, at distance 0.
    least = np.full((steps, gap + 1, num_full + 1), np.inf)
    origin = np.zeros(least.shape, dtype=np.int32)  # the distance before that
    least[0, 0, 1] = 0.0
    ends: list[tuple[float, int, int]] = []
    for last in range(steps):
        following = np.arange(last + 1, min(steps, last + gap + 1))
        for distance in np.flatnonzero(np.isfinite(least[last]).any(1)).tolist():
            so_far = least[last, distance]
            costs = _stretch_costs(rows, last - distance if order else last, last, min(steps, last + gap))
            if last + gap >= steps:
                ends.append((so_far[num_full] + costs[steps - last - 1], last, distance))
            offered = so_far[:-1] + costs[: len(following), None]
            into = following, following - last, slice(1, None)
            better = offered < least[into]
            least[into] = np.where(better, offered, least[into])
            origin[into] = np.where(better, distance, origin[into])
    _, last, distance = min(ends)
    found = [last]
    for count in range(num_full, 1, -1):
        last, distance = last - distance, int(origin[last, distance, count])
        found.append(last)
    return tuple(reversed(found))


def _stretch_costs(rows: Rows, before: int, last: int, end: int) -> np.ndarray:
    """Mean squared error along the probes of the shallow steps after `last`, none of them, one, ... up to `end`.

    The features lie on the line through those of `before` and `last`; where these are the same, that one is held.
    """
    steps, products = np.arange(last + 1, end), rows.products
    errors = products[:, steps, steps] - products[:, steps, last]
    if before < last:
        errors = errors + (steps - last) / (last - before) * (products[:, steps, before] - products[:, steps, last])
    return np.concatenate([[0.0], np.square(np.cumsum(errors, axis=1)).mean(0)])


def search_steps(
    error: Callable[[tuple[int, ...]], float], start: Sequence[int], num_steps: int, tries: int = 4000
) -> tuple[int, ...]:
    """Full steps, the first apart, are exchanged and moved in turns as long as that makes the error less.

    Exchanged as experiments are in Fedorov's designs (1972): one that is hardly missed goes, another one comes wherever
    it helps most. That carries full steps over any distance; moves to places nearby then settle each of them.

    Args:
        error: of a schedule, such as `held_out_error`.
        start: a schedule.
        num_steps: T.
        tries: schedules that are judged, at about so many of which it ends.
    """
    judged, best = _Judge(error, tries), tuple(start)
    with threadpool_limits(1):  # of systems this small, threads take ten times as long where anything else runs
        while True:
            found = _move(judged, _exchange(judged, best, num_steps), num_steps)
            if judged(found) >= judged(best):
                return best
            best = found


class _Judge:
    """The error of a schedule, found once; `spent` after so many."""

    def __init__(self, error: Callable[[tuple[int, ...]], float], tries: int):
        self._error, self._tries = error, tries
        self._known: dict[tuple[int, ...], float] = {}

    def __call__(self, schedule: tuple[int, ...]) -> float:
        if schedule not in self._known:
            self._known[schedule] = self._error(schedule)
        return self._known[schedule]

    @property
    def spent(self) -> bool:
        return len(self._known) >= self._tries


def _exchange(judged: _Judge, best: tuple[int, ...], num_steps: int) -> tuple[int, ...]:
    """One full step of the DROPPED least missed for another one, as long as that makes the error less."""
    while not judged.spent:
        fewer = [(*best[:place], *best[place + 1 :]) for place in range(1, len(best))]
        for others in sorted(fewer, key=judged)[:DROPPED]:
            with_one = (tuple(sorted((*others, step))) for step in range(1, num_steps) if step not in others)
            found = min(with_one, key=judged)
            if judged(found) < judged(best):
                best = found
                break
        else:
            break
    return best


def _move(judged: _Judge, best: tuple[int, ...], num_steps: int) -> tuple[int, ...]:
    """One full step after the other by the best of MOVES, as long as that makes the error less."""
    left = list(range(1, len(best)))
    while left and not judged.spent:
        place = left.pop(0)
        others = (*best[:place], *best[place + 1 :])
        to = [best[place] + move for move in MOVES]
        moved = [tuple(sorted((*others, step))) for step in to if 0 < step < num_steps and step not in others]
        nearest = min(moved, key=judged, default=best)
        if judged(nearest) < judged(best):
            best, left = nearest, [other for other in range(1, len(best)) if other != place] + [place]
    return best
