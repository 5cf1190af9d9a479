"""When: the steps at which the whole U-Net runs.

A schedule is a strictly increasing tuple of step indices that starts with 0; step 0 is the first, noisiest one.
"""

import itertools
import math
import operator
from collections.abc import Sequence

import numpy as np

from deepcache.errors import DeepCacheError


def uniform(num_steps: int, interval: int) -> tuple[int, ...]:
    """Full steps 0, N, 2N, ... (paper, Section 3.3): ceil(num_steps / interval) of them.

    Args:
        num_steps: steps of the trajectory, T.
        interval: N; 1 runs every step fully.

    Raises:
        DeepCacheError: unless both are integers with 1 <= interval <= num_steps.
    """
    _check_integers(num_steps=num_steps, interval=interval)
    if num_steps < 1:
        raise DeepCacheError(f"num_steps must be at least 1, not {num_steps}")
    if not 1 <= interval <= num_steps:
        raise DeepCacheError(f"interval must be between 1 and the number of steps ({num_steps}), not {interval}")
    return tuple(range(0, num_steps, interval))


def nonuniform(num_steps: int, num_full: int, center: int, power: float, *, roots: str = "complex") -> tuple[int, ...]:
    """Full steps that crowd around a centre (paper, Section 3.3, Eq. 7).

    `num_full` values are spaced evenly from (-c)^(1/p) to (T-c)^(1/p), raised back to the power p, shifted by c and
    made integer. Step 0 is always kept, and p is lowered by 0.02 until `num_full` distinct steps remain. (A power far
    above 2 can also bend the complex roots out of the trajectory; it is lowered then, too.)

    Args:
        num_steps: steps of the trajectory, T.
        num_full: number of full steps, k.
        center: c, the step around which full steps are densest.
        power: p > 1; the larger, the denser at the centre.
        roots: what the root of the negative number -c is. "complex": its principal complex root, of which the real
            part is taken at the end; this is what the authors' released code computes (Python's `**`), and so what
            their tables show. "signed": -(c^(1/p)), which is how Eq. 7 reads; it crowds the steps more tightly.

    Raises:
        DeepCacheError: if an argument is out of range or no power above 1 gives `num_full` distinct steps.
    """
    check_budget(num_steps, num_full)
    _check_integers(center=center)
    if not 0 <= center < num_steps:
        raise DeepCacheError(f"center must be between 0 and the last step ({num_steps - 1}), not {center}")
    if not (isinstance(power, (int, float, np.number)) and 1 < power < math.inf):
        raise DeepCacheError(f"power must be a number greater than 1, not {power!r}")
    power = float(power)  # numpy's has no root of a negative number
    if roots not in ("complex", "signed"):
        raise DeepCacheError(f"roots must be 'complex' or 'signed', not {roots!r}")
    raise_to = operator.pow if roots == "complex" else _signed_power
    num_steps, center = int(num_steps), int(center)  # NumPy's integers have no complex roots
    trial = power
    while trial > 1:
        spaced = np.linspace(raise_to(-center, 1 / trial), raise_to(num_steps - center, 1 / trial), num_full + 1)
        offsets = np.unique(np.trunc(raise_to(spaced, trial).real).astype(int))
        steps = (0, *(int(offset) + center for offset in offsets[1:-1]))
        inside = all(0 < step < num_steps for step in steps[1:])
        if len(steps) == num_full and inside:
            return steps
        trial -= 0.02
    raise DeepCacheError(
        f"no power between 1 and {power} gives {num_full} distinct full steps of {num_steps} around center {center}: "
        "lower num_full, or move the center"
    )


def _signed_power(values: np.ndarray | int, exponent: float) -> np.ndarray:
    return np.sign(values) * np.abs(values) ** exponent


def explicit(steps: Sequence[int]) -> tuple[int, ...]:
    """Check a hand-made schedule and return it as a tuple.

    Raises:
        DeepCacheError: unless the steps are integers that start with 0 and increase strictly.
    """
    schedule = tuple(steps) if np.iterable(steps) else ()
    if not schedule or not all(is_integer(step) for step in schedule):
        raise DeepCacheError(f"schedule must be a non-empty list of integers, not {steps!r}")
    if schedule[0] != 0:
        raise DeepCacheError(
            f"schedule must start with step 0 (there is nothing to reuse before it), not {schedule[0]}"
        )
    if any(later <= earlier for earlier, later in itertools.pairwise(schedule)):
        raise DeepCacheError(f"schedule must increase strictly: {list(schedule)}")
    return tuple(int(step) for step in schedule)


def check_budget(num_steps: int, num_full: int) -> None:
    """Raise a DeepCacheError unless both are integers with 1 <= num_full <= num_steps."""
    _check_integers(num_steps=num_steps, num_full=num_full)
    if not 1 <= num_full <= num_steps:
        raise DeepCacheError(f"num_full must be between 1 and the number of steps ({num_steps}), not {num_full}")


def _check_integers(**values: int) -> None:
    for name, value in values.items():
        if not is_integer(value):
            raise DeepCacheError(f"{name} must be an integer, not {value!r}")


def is_integer(value: object) -> bool:
    """Whether a value counts as one: numpy's do, True and False do not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def average_macs(full: float, shallow: float, num_steps: int, full_steps: Sequence[int]) -> float:
    """Average over a trajectory: (k full + (T - k) shallow) / T with k full steps of T, as in the paper's tables.

    Args:
        full: MACs of a full pass.
        shallow: MACs of a shallow pass, in the same unit.
        num_steps: steps of the trajectory, T.
        full_steps: the schedule, as `uniform` and `nonuniform` return it.

    Returns:
        MACs a step, in that unit.

    Raises:
        DeepCacheError: if the schedule does not fit into the trajectory.
    """
    count = len(full_steps)
    if count == 0 or not 0 <= min(full_steps) <= max(full_steps) < num_steps or len(set(full_steps)) != count:
        raise DeepCacheError(f"schedule must be distinct steps from 0 to {num_steps - 1}, not {list(full_steps)}")
    return (count * full + (num_steps - count) * shallow) / num_steps
