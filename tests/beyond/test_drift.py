"""The schedule with the least drift."""

import itertools

import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.beyond.calibration.drift import drift_steps


def drift(features, steps):
    """Summed distance to the held feature, root mean square over elements."""
    last = [max(step for step in steps if step <= now) for now in range(len(features))]
    return sum(np.sqrt(((features[now] - features[held]) ** 2).mean()) for now, held in enumerate(last))


@pytest.mark.parametrize("num_full", [1, 2, 3, 5, 9])
def test_equals_exhaustive_search(num_full):
    features = np.random.default_rng(3).normal(size=(9, 40)).cumsum(0)
    found = drift_steps(features @ features.T / 40, num_full)
    every = [(0, *rest) for rest in itertools.combinations(range(1, 9), num_full - 1)]
    assert found in every
    assert drift(features, found) == pytest.approx(min(drift(features, steps) for steps in every))


def test_a_number_out_of_range_is_refused():
    with pytest.raises(DeepCacheError, match=r"num_full must be between 1 and the number of steps \(3\), not 4"):
        drift_steps(np.eye(3), 4)
