"""Schedules against the paper's formulas, written once more in plain Python."""

import itertools
import math
import warnings

import numpy as np
import pytest

from deepcache import DeepCacheError, nonuniform, uniform
from deepcache.caching.schedules import explicit

PAPER = [(250, 13, 120, 1.4), (250, 25, 110, 1.2), (50, 10, 15, 1.4), (50, 10, 10, 1.5)]
GRID = [
    (num_steps, num_full, center, power)
    for num_steps in (5, 20, 50, 100, 250)
    for num_full in (1, 2, 5, 10, 25)
    for center in (0, 1, num_steps // 5, num_steps // 2, num_steps - 1)
    for power in (1.05, 1.2, 1.4, 1.8, 3.0, 8.0)
    if num_full <= num_steps
]


def power_spaced(num_steps, num_full, center, power, root, raised):
    """Eq. 7 with lists: the schedule at the first power at which it has all its steps, and whether rounding decided.

    The schedule is None where no power gives enough steps.
    """
    decided_by_rounding = False
    while power > 1:
        first, last = root(-center, power), root(num_steps - center, power)
        stride = (last - first) / num_full
        values = [first + i * stride for i in range(num_full)] + [last]
        exact = [complex(raised(value, power)).real for value in values]
        inner = exact[1:-1]
        decided_by_rounding |= any(round(value) and abs(value - round(value)) < 1e-9 for value in inner)
        # The ends are integers but for rounding; whether they swallow a neighbour depends on it.
        ends = {-center, 1 - center, num_steps - center - 1, num_steps - center}
        decided_by_rounding |= not ends.isdisjoint(int(value) for value in inner)
        offsets = sorted({int(value) for value in exact})
        steps = [0] + [offset + center for offset in offsets[1:-1]]
        # More than Eq. 7 and the released code ask for: with far higher powers than theirs a complex root can leave
        # the trajectory.
        if len(steps) == num_full and all(0 < step < num_steps for step in steps[1:]):
            return tuple(steps), decided_by_rounding
        power -= 0.02
    return None, decided_by_rounding


def with_complex_roots(*arguments):
    """As the released code has it: Python's `**` makes the root of a negative number complex."""
    return power_spaced(*arguments, root=lambda x, p: x ** (1 / p), raised=lambda x, p: x**p)


def with_signed_roots(*arguments):
    """As Eq. 7 reads."""
    return power_spaced(
        *arguments,
        root=lambda x, p: math.copysign(abs(x) ** (1 / p), x),
        raised=lambda x, p: math.copysign(abs(x) ** p, x),
    )


def released(num_steps, num_full, center, power):
    """The released code's own lines, which settle what rounding decides."""
    while power > 1:
        values = np.linspace((-center) ** (1 / power), (num_steps - center) ** (1 / power), num_full + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", np.exceptions.ComplexWarning)
            offsets = np.unique(np.int32(values**power))
        steps = [0] + [offset + center for offset in offsets[1:-1]]
        if len(steps) == num_full and all(0 < step < num_steps for step in steps[1:]):
            return tuple(steps)
        power -= 0.02
    return None


REFERENCES = {"complex": with_complex_roots, "signed": with_signed_roots}


@pytest.mark.parametrize(
    ("num_steps", "interval", "steps"),
    [
        (1, 1, (0,)),
        (5, 1, (0, 1, 2, 3, 4)),
        (5, 5, (0,)),
        (5, 4, (0, 4)),
        (10, 3, (0, 3, 6, 9)),
        (50, 20, (0, 20, 40)),
        (np.int64(6), np.int32(2), (0, 2, 4)),
    ],
)
def test_uniform(num_steps, interval, steps):
    assert uniform(num_steps, interval) == steps


def test_uniform_has_as_many_full_steps_as_the_paper_says():
    for num_steps in range(1, 60):
        for interval in range(1, num_steps + 1):
            steps = uniform(num_steps, interval)
            assert len(steps) == math.ceil(num_steps / interval)
            assert all(step % interval == 0 and step < num_steps for step in steps)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0, 1), "num_steps"),
        ((-5, 1), "num_steps"),
        ((10.0, 2), "num_steps"),
        ((True, 1), "num_steps"),
        (("10", 2), "num_steps"),
        ((10, 0), "interval"),
        ((10, -2), "interval"),
        ((10, 11), "interval"),
        ((10, 2.5), "interval"),
        ((10, None), "interval"),
        ((10, True), "interval"),
    ],
)
def test_uniform_names_the_wrong_argument(arguments, named):
    with pytest.raises(DeepCacheError, match=f"^{named} must be .*{arguments[named == 'interval']}"):
        uniform(*arguments)


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ((250, 13, 120, 1.4), (0, 22, 42, 61, 80, 98, 115, 131, 149, 168, 187, 207, 228)),
        ((50, 10, 10, 1.5), (0, 4, 7, 10, 14, 19, 24, 30, 36, 43)),
    ],
)
def test_nonuniform_of_the_released_code(arguments, steps):
    assert nonuniform(*arguments) == nonuniform(*arguments, roots="complex") == steps


def test_nonuniform_with_signed_roots():
    assert nonuniform(50, 10, 10, 1.5, roots="signed") == (0, 5, 9, 10, 12, 16, 21, 27, 34, 41)


@pytest.mark.parametrize("roots", REFERENCES)
@pytest.mark.parametrize("arguments", PAPER)
def test_nonuniform_of_the_papers_tables_equals_plain_python(arguments, roots):
    assert (nonuniform(*arguments, roots=roots), False) == REFERENCES[roots](*arguments)


@pytest.mark.parametrize("roots", REFERENCES)
def test_nonuniform_equals_plain_python_and_is_a_schedule(roots):
    found = compared = 0
    for arguments in GRID:
        expected, decided_by_rounding = REFERENCES[roots](*arguments)
        if expected is None:
            with pytest.raises(DeepCacheError, match="no power between 1 and"):
                nonuniform(*arguments, roots=roots)
            continue
        steps = nonuniform(*arguments, roots=roots)
        if not decided_by_rounding:
            assert steps == expected, arguments
            compared += 1
        num_steps, num_full, *_ = arguments
        assert len(steps) == num_full and steps[0] == 0 and steps[-1] < num_steps, arguments
        assert all(type(step) is int for step in steps), arguments
        assert all(earlier < later for earlier, later in itertools.pairwise(steps)), arguments
        found += 1
    assert found > len(GRID) / 2 and compared > 0.7 * found


@pytest.mark.parametrize("power", [1.05, 1.2, 1.4, 1.6, 2.0, 3.0, 8.0])
def test_nonuniform_equals_the_released_code_to_the_last_bit(power):
    for num_steps, num_full, center, _ in {(*arguments[:3], None) for arguments in GRID + PAPER}:
        expected = released(num_steps, num_full, center, power)
        if expected is not None:
            assert nonuniform(num_steps, num_full, center, power) == expected, (num_steps, num_full, center)
            assert nonuniform(np.int64(num_steps), np.int64(num_full), np.int64(center), power) == expected


def test_nonuniform_that_would_leave_the_trajectory_lowers_the_power():
    steps = nonuniform(250, 10, 50, 8.0)  # at the power 8 itself the second step would be 0 again
    assert steps == with_complex_roots(250, 10, 50, 8.0)[0] == explicit(steps)


def test_nonuniform_crowds_at_the_center():
    steps = nonuniform(250, 25, 110, 1.4, roots="signed")
    gaps = [later - earlier for earlier, later in itertools.pairwise((*steps, 250))]
    near = [gap for gap, step in zip(gaps, steps, strict=True) if abs(step - 110) <= 15]
    far = [gap for gap, step in zip(gaps, steps, strict=True) if abs(step - 110) >= 60]
    assert max(near) < min(far)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_full": 51}, r"num_full must be between 1 and the number of steps \(50\), not 51"),
        ({"num_full": 0}, "num_full must be between 1"),
        ({"num_full": 10.0}, "num_full must be an integer"),
        ({"num_steps": "50"}, "num_steps must be an integer"),
        ({"num_steps": 0}, "num_full must be between 1 and the number of steps"),
        ({"center": -1}, r"center must be between 0 and the last step \(49\), not -1"),
        ({"center": 50}, "center must be between 0 and the last step"),
        ({"center": 14.5}, "center must be an integer"),
        ({"center": True}, "center must be an integer"),
        ({"power": 1}, "power must be a number greater than 1"),
        ({"power": 0.5}, "power must be a number greater than 1"),
        ({"power": math.nan}, "power must be a number greater than 1"),
        ({"power": math.inf}, "power must be a number greater than 1"),
        ({"power": "1.4"}, "power must be a number greater than 1"),
        ({"roots": "real"}, "roots must be 'complex' or 'signed', not 'real'"),
        ({"num_full": 50, "roots": "signed"}, "no power between 1 and 1.4 gives 50 distinct full steps of 50 around"),
    ],
)
def test_nonuniform_names_the_wrong_argument(changes, message):
    arguments = {"num_steps": 50, "num_full": 10, "center": 15, "power": 1.4, "roots": "complex"}
    assert nonuniform(**arguments)
    with pytest.raises(DeepCacheError, match=message):
        nonuniform(**{**arguments, **changes})


@pytest.mark.parametrize(
    "steps", [(0, 3, 4), [0, 3, 4], np.array([0, 3, 4]), (np.int32(0), 3, np.int64(4)), iter([0, 3, 4])]
)
def test_explicit_takes_any_sequence_of_integers(steps):
    schedule = explicit(steps)
    assert schedule == (0, 3, 4)
    assert type(schedule) is tuple and all(type(step) is int for step in schedule)


@pytest.mark.parametrize(
    "steps", [(), [], "", None, 5, 0, "024", (0, 2.0), (0, "2"), (0, None), (False, True), (0, [1])]
)
def test_explicit_refuses_what_is_no_list_of_integers(steps):
    with pytest.raises(DeepCacheError, match="schedule must be a non-empty list of integers"):
        explicit(steps)


@pytest.mark.parametrize("steps", [(1, 2), (-1, 0, 1), (3,)])
def test_explicit_refuses_another_first_step(steps):
    with pytest.raises(DeepCacheError, match=f"schedule must start with step 0 .*not {steps[0]}"):
        explicit(steps)


@pytest.mark.parametrize("steps", [(0, 0), (0, 2, 2), (0, 5, 3), (0, -1)])
def test_explicit_refuses_steps_that_do_not_increase(steps):
    with pytest.raises(DeepCacheError, match="schedule must increase strictly"):
        explicit(steps)


@pytest.mark.parametrize("power", [np.float64(1.4), np.float32(1.5)])
def test_a_power_of_numpy_is_a_number(power):
    assert nonuniform(50, 10, center=15, power=power) == nonuniform(50, 10, center=15, power=float(power))
