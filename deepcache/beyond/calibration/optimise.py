"""The full steps that make the summed residual of a prediction least, by dynamic programming."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deepcache.beyond.calibration.residuals import Predictor, residuals
from deepcache.errors import DeepCacheError

NONE = -1  # in a table: no full step stands before the context


def schedule_cost(
    gram: np.ndarray, full_steps: Sequence[int], predictor: Predictor, importance: np.ndarray | None = None
) -> float:
    """Sum over the shallow steps of importance times mean squared residual.

    Args:
        gram: G, shape (T, T).
        full_steps: a schedule, starting with 0.
        predictor: what takes the place of the feature at the other steps.
        importance: what a squared residual at each step costs, shape (T,); 1 everywhere if None.
    """
    total, ends = 0.0, [*full_steps[1:], len(gram)]
    for i, (last, end) in enumerate(zip(full_steps, ends, strict=True)):
        if end > last + 1:
            nodes = tuple(full_steps[max(0, i - predictor.order) : i + 1])
            total += _segment_costs(gram, nodes, predictor, importance)[end - last - 1]
    return float(total)


def best_steps(
    gram: np.ndarray,
    num_full: int,
    predictor: Predictor,
    importance: np.ndarray | None = None,
    max_gap: int | None = None,
) -> tuple[int, ...]:
    """The schedule with `num_full` full steps whose `schedule_cost` is least (exact).

    What a stretch of shallow steps costs depends on the predictor's order + 1 full steps before it. So the programme
    runs over single steps for holding, over pairs for order 1, over triples for order 2; with T steps and gaps up to g
    it looks at no more than about T g^order stretches: what already costs more than the schedule that is best for the
    next lower order is not followed up.

    Args:
        gram: G, shape (T, T).
        num_full: number of full steps, k.
        predictor: as in `schedule_cost`.
        importance: as in `schedule_cost`.
        max_gap: the largest distance of two full steps that is considered (for long trajectories); None: any.

    Raises:
        DeepCacheError: unless 1 <= num_full <= T and the gaps can cover the trajectory.
    """
    steps = len(gram)
    if not 1 <= num_full <= steps:
        raise DeepCacheError(f"num_full must be between 1 and the number of steps ({steps}), not {num_full}")
    gap = steps if max_gap is None else max_gap
    if gap < 1 or gap * num_full < steps:
        raise DeepCacheError(f"max_gap {max_gap} is too small: {num_full} full steps cannot cover {steps} steps")
    bound = np.inf
    if predictor.order > 0:
        simpler = best_steps(gram, num_full, replace(predictor, order=predictor.order - 1), importance, max_gap)
        bound = schedule_cost(gram, simpler, predictor, importance) * (1 + 1e-9)  # sums are rounded
    tables: dict[tuple[int, ...], _Table] = {(): _Table(0, steps, num_full)}
    tables[()].cost[0, 0] = 0.0
    least, nodes_at_end = np.inf, ()
    for last in range(steps):
        for context in [key for key in tables if key == () or last - gap <= key[-1] < last]:
            so_far = tables[context].cost[last - tables[context].first]
            cheapest = so_far.min()
            if not np.isfinite(cheapest) or cheapest > bound:
                continue
            nodes = (*context, last)
            costs = _segment_costs(gram, nodes, predictor, importance)[:gap]
            if last + gap >= steps and so_far[-1] + costs[steps - last - 1] < least:
                least, nodes_at_end = so_far[-1] + costs[steps - last - 1], nodes
            following = nodes[-predictor.order :] if predictor.order else ()
            costs = costs[: np.searchsorted(costs, bound - cheapest, side="right")]  # they only rise
            if following not in tables:
                tables[following] = _Table(last + 1, min(gap, steps - last - 1), num_full)
            before = nodes[0] if len(nodes) > len(following) else NONE
            tables[following].update(last + 1, costs[: steps - last - 1], so_far, before)
    return _trace(nodes_at_end, tables, num_full)


class _Table:
    """Schedules up to a full step n that have the same full steps, the context, just before it.

    Attributes:
        first: the first n of the table.
        cost: least cost of the steps before n, where n is full step number c (from 0), shape (width, k).
        before: the full step before the context in that schedule, or NONE, same shape.
    """

    def __init__(self, first: int, width: int, num_full: int):
        self.first = first
        self.cost = np.full((width, num_full), np.inf)
        self.before = np.full((width, num_full), NONE, dtype=np.int32)

    def update(self, start: int, costs: np.ndarray, so_far: np.ndarray, before: int) -> None:
        """Offer the schedules that go on to n = start, start + 1, ... at these costs, with one full step more."""
        into = slice(start - self.first, start - self.first + len(costs))
        offered = costs[:, None] + so_far[None, :-1]
        better = offered < self.cost[into, 1:]
        self.cost[into, 1:][better] = offered[better]
        self.before[into, 1:][better] = before


def _trace(nodes: tuple[int, ...], tables: dict[tuple[int, ...], _Table], num_full: int) -> tuple[int, ...]:
    """Follow the tables back from the last full steps of the best schedule to its first."""
    context, last, schedule = nodes[:-1], nodes[-1], list(nodes)
    for count in range(num_full - 1, 0, -1):
        before = int(tables[context].before[last - tables[context].first, count])
        if before == NONE:
            break
        schedule.insert(0, before)
        earlier = (before, *context)
        context, last = earlier[:-1], earlier[-1]
    return tuple(schedule)


def _segment_costs(
    gram: np.ndarray, nodes: tuple[int, ...], predictor: Predictor, importance: np.ndarray | None
) -> np.ndarray:
    """Cost of the shallow steps from the last node to a next full step at 1, 2, ... steps after it, or to the end."""
    steps = np.arange(nodes[-1] + 1, len(gram))
    costs = residuals(gram, nodes, steps, predictor.weights(gram, nodes, steps))
    if importance is not None:
        costs = costs * importance[steps]
    return np.concatenate([[0.0], np.cumsum(costs)])
