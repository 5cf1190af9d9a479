import itertools

import pytest

from deepcache.beyond.caching.peer_schedules import KEY_STEPS, growing_windows, key_steps, linear_gap, window
from deepcache.caching.schedules import explicit, uniform
from deepcache.errors import DeepCacheError

WAYS = {
    "window at the start": lambda steps, full: window(steps, full, 0.4),
    "window at the end": lambda steps, full: window(steps, full, 0.4, "end"),
    "whole window": lambda steps, full: window(steps, full, 1.0, "end"),
    "rising gaps": lambda steps, full: linear_gap(steps, full, 5),
    "falling gaps": lambda steps, full: linear_gap(steps, full, 0.1),
    "key steps": key_steps,
    "growing windows": growing_windows,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_has_exactly_the_steps_of_its_budget(way):
    for steps, full in itertools.product((1, 2, 7, 50, 51, 100), (1, 2, 3, 5, 17, 50, 99, 100)):
        if full <= steps:
            found = explicit(way(steps, full))
            assert len(found) == full
            assert found[-1] < steps


def test_a_windows_steps_are_full():
    assert window(20, 6, 0.5) == (0, 1, 2, 7, 11, 15)
    assert window(20, 6, 0.5, "end") == (0, 5, 11, 17, 18, 19)
    assert window(100, 10, 0) == uniform(100, 10)


def test_gaps_grow_by_the_ratio():
    gaps = [later - earlier for earlier, later in itertools.pairwise(linear_gap(1000, 9, 3))]
    assert gaps[-1] / gaps[0] == pytest.approx(3 - 2 / 8, abs=0.05)  # of nine gaps the last leads to the end
    changes = [later - earlier for earlier, later in itertools.pairwise(gaps)]
    assert max(changes) - min(changes) <= 2
    assert linear_gap(100, 10, 1) == uniform(100, 10)


def test_the_published_key_steps():
    assert key_steps(50, 9) == KEY_STEPS
    assert key_steps(100, 9) == tuple(2 * step for step in KEY_STEPS)


def test_windows_grow_after_each_full_step():
    assert growing_windows(50, 10) == (0, 1, 2, 3, 4, 6, 10, 16, 25, 36)
    assert growing_windows(50, 6) == (0, 1, 2, 4, 13, 29), "spread over the whole trajectory"
    for steps, full in ((50, 6), (100, 12), (100, 33)):
        found = growing_windows(steps, full)
        first = next(step for step in range(full) if found[step + 1] > found[step] + 1)
        gaps = [later - earlier for earlier, later in itertools.pairwise(found[first:])]
        assert gaps == sorted(gaps) and gaps[0] == 2, "the first window is of two steps"
        changes = [later - earlier for earlier, later in itertools.pairwise(gaps)]
        assert not changes or max(changes) - min(changes) <= 1, "each is alpha longer, rounded down"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: window(10, 3, 1.5), "share must be between 0 and 1, not 1.5"),
        (lambda: window(10, 3, 0.5, "middle"), "at must be 'start' or 'end', not 'middle'"),
        (lambda: linear_gap(10, 3, 0), "ratio must be a number above 0, not 0"),
        (lambda: key_steps(10, 11), r"num_full must be between 1 and the number of steps \(10\), not 11"),
    ],
)
def test_what_is_out_of_range_is_named(call, message):
    with pytest.raises(DeepCacheError, match=message):
        call()
