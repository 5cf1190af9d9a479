"""Searched full steps, against every schedule there is."""

import itertools
from functools import partial

import pytest

from deepcache import DeepCacheError
from deepcache.beyond.calibration.joint import held_out_error
from deepcache.beyond.calibration.polynomial import polynomial_weights
from deepcache.beyond.calibration.search import additive_steps, search_steps
from tests.beyond.made_rows import made_rows

STEPS = 9


def every(num_full: int, max_gap: int = STEPS):
    for rest in itertools.combinations(range(1, STEPS), num_full - 1):
        full = (0, *rest)
        if all(after - before <= max_gap for before, after in itertools.pairwise([*full, STEPS])):
            yield full


def added_up(rows, full, order) -> float:
    """Squared errors of the stretches between full steps, each by itself."""
    weights, total = polynomial_weights(full, STEPS, order), 0.0
    for last, end in itertools.pairwise([*full, STEPS]):
        stretch = {step: weights[step] for step in range(last + 1, end)}
        total += rows.squared_error(rows.errors(stretch))
    return total


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize(
    ("num_full", "max_gap"), [(1, None), (2, None), (3, 4), (4, None), (5, 3), (8, None), (9, None)]
)
def test_additive_steps_equal_exhaustive_search(order, num_full, max_gap):
    rows = made_rows(STEPS, seed=num_full)
    found = additive_steps(rows, num_full, order, max_gap)
    least = min(added_up(rows, full, order) for full in every(num_full, max_gap or STEPS))
    assert found in every(num_full, max_gap or STEPS)
    assert added_up(rows, found, order) == pytest.approx(least, rel=1e-9, abs=1e-15)


def test_numbers_out_of_range_are_refused():
    rows = made_rows(STEPS)
    for num_full in (0, STEPS + 1):
        with pytest.raises(
            DeepCacheError, match=rf"num_full must be between 1 and the number of steps \(9\), not {num_full}"
        ):
            additive_steps(rows, num_full, 0)
    with pytest.raises(DeepCacheError, match="max_gap 2 is too small: 4 full steps cannot cover 9 steps"):
        additive_steps(rows, 4, 0, 2)


@pytest.mark.parametrize("seed", range(4))
def test_from_its_starts_the_search_finds_the_best_of_all_schedules(seed):
    rows = made_rows(STEPS, images=20, seed=seed)
    error = partial(held_out_error, rows, order=1, trust=1.0)
    starts = [(0, 3, 6), additive_steps(rows, 3, 0), additive_steps(rows, 3, 1)]
    found = [search_steps(error, start, STEPS) for start in starts]
    assert min(map(error, found)) == min(map(error, every(3)))
    for start, end in zip(starts, found, strict=True):
        assert error(end) <= error(start) and end in every(3)


def test_every_schedule_is_judged_once():
    asked = []

    def error(full):
        asked.append(full)
        return abs(full[-1] - 5)

    assert search_steps(error, (0, 1), STEPS) == (0, 5)
    assert len(asked) == len(set(asked)) <= STEPS
    assert search_steps(error, (0,), STEPS) == (0,), "the first one stays"


def test_a_full_step_goes_where_no_move_leads():
    def error(full):
        return len({0, 50, 90} - set(full))

    assert search_steps(error, (0, 1, 2), 100) == (0, 50, 90)


def test_it_ends_at_the_best_so_far_where_too_many_were_judged():
    asked = []

    def error(full):
        asked.append(full)
        return -sum(full)

    found = search_steps(error, tuple(range(0, 100, 5)), 100, tries=300)
    assert len(asked) < 1000
    assert -sum(found) == min(-sum(full) for full in asked if len(full) == 20)
