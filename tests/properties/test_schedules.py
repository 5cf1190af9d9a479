"""Schedules: whatever is asked for is refused in one line, or is what the paper says of it."""

import itertools
import math

from hypothesis import given
from hypothesis import strategies as st

from deepcache import DeepCacheError, nonuniform, uniform
from deepcache.caching.schedules import average_macs, explicit

STEPS = st.integers(1, 1000)
ANYTHING = st.none() | st.booleans() | st.integers(-5, 1100) | st.floats() | st.text(max_size=3)


def check(schedule: tuple[int, ...], num_steps: int, num_full: int) -> None:
    """What every schedule promises."""
    assert len(schedule) == num_full and schedule[0] == 0
    assert all(type(step) is int for step in schedule)
    assert all(before < after for before, after in itertools.pairwise(schedule))
    assert schedule[-1] < num_steps
    assert explicit(schedule) == schedule


@given(STEPS, st.data())
def test_uniform_is_every_nth_step(num_steps, data):
    interval = data.draw(st.integers(1, num_steps))
    schedule = uniform(num_steps, interval)
    check(schedule, num_steps, math.ceil(num_steps / interval))
    assert {after - before for before, after in itertools.pairwise(schedule)} <= {interval}


@given(STEPS, st.data())
def test_nonuniform_has_as_many_steps_as_are_asked_for(num_steps, data):
    num_full = data.draw(st.integers(1, num_steps))
    center = data.draw(st.integers(0, num_steps - 1))
    power = data.draw(st.floats(1, 10, exclude_min=True))
    roots = data.draw(st.sampled_from(["complex", "signed"]))
    try:
        schedule = nonuniform(num_steps, num_full, center, power, roots=roots)
    except DeepCacheError as error:
        assert str(error).startswith("no power between 1 and ") and "\n" not in str(error)
    else:
        check(schedule, num_steps, num_full)


@given(ANYTHING, ANYTHING)
def test_uniform_of_anything(num_steps, interval):
    try:
        schedule = uniform(num_steps, interval)
    except DeepCacheError as error:
        assert "\n" not in str(error)
    else:
        check(schedule, num_steps, math.ceil(num_steps / interval))


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_nonuniform_of_anything(num_steps, num_full, center, power):
    try:
        schedule = nonuniform(num_steps, num_full, center, power)
    except DeepCacheError as error:
        assert "\n" not in str(error)
    else:
        check(schedule, num_steps, num_full)


@given(ANYTHING | st.lists(ANYTHING, max_size=5) | st.lists(st.integers(0, 50), max_size=5, unique=True).map(sorted))
def test_an_explicit_schedule_is_itself_or_refused(steps):
    try:
        schedule = explicit(steps)
    except DeepCacheError as error:
        assert "\n" not in str(error)
    else:
        assert list(schedule) == list(steps)
        check(schedule, max(schedule) + 1, len(schedule))


@given(STEPS, st.data())
def test_the_average_lies_between_both_passes(num_steps, data):
    schedule = uniform(num_steps, data.draw(st.integers(1, num_steps)))
    full = data.draw(st.floats(1e-3, 1e6))
    shallow = data.draw(st.floats(0, full))
    average = average_macs(full, shallow, num_steps, schedule)
    assert shallow * (1 - 1e-9) <= average <= full * (1 + 1e-9)
