"""AdaptiveDiffusion's rule."""

import itertools

import pytest
import torch

from deepcache import DeepCache, DeepCacheError
from deepcache.beyond.caching.stability import Stability, find_stability, unsteadiness
from tests.beyond.test_online import decisions, trajectory

STEPS = 30


@pytest.fixture
def inputs():
    """A latent whose changes are steady, but for a time in the middle."""
    generator = torch.Generator().manual_seed(0)
    sizes = [1 + 0.5 * (10 < step < 20) * float(torch.rand((), generator=generator)) for step in range(STEPS)]
    way = torch.randn(2, 1, 4, 4, generator=generator)
    return list((torch.tensor(sizes)[:, None, None, None, None] * way).cumsum(0))


def test_the_difference_of_third_order():
    assert unsteadiness([1.0, 2.0, 3.0]) == 0, "changes that grow evenly are steady"
    assert unsteadiness([1.0, 2.0, 5.0]) == pytest.approx(0.5)
    assert unsteadiness([9.0, 1.0, 2.0, 5.0]) == pytest.approx(0.5), "of the last three"


def test_decides_as_a_direct_loop_does(inputs):
    found, spent, shallow = [], 0, 0
    for step in range(STEPS):
        d = [float((inputs[i] - inputs[i - 1]).abs().mean()) for i in range(max(step - 2, 1), step + 1)]
        steady = len(d) == 3 and abs((d[2] + d[0]) / 2 - d[1]) / d[1] <= 0.1
        if spent < 12 and (not steady or shallow == 4 or STEPS - step <= 12 - spent):
            found, spent, shallow = [*found, step], spent + 1, 0
        else:
            shallow += 1
    assert decisions(Stability(STEPS, 12, 0.1), inputs) == found
    assert found[:3] == [0, 1, 2] and len(found) == 12


@pytest.mark.parametrize("full", [3, 5, 12, 30])
def test_the_threshold_that_is_found_spends_the_steps_where_the_latent_is_unsteady(inputs, full):
    steps = decisions(find_stability(inputs, full), inputs)
    assert len(steps) == full
    if full > 3:
        assert max(later - step for step, later in itertools.pairwise([*steps, STEPS])) <= 2 * STEPS / (full - 2)
    if full == 12:
        middle = [step for step in steps if 11 < step < 23]
        assert len(middle) > 5 and max(steps) > 22


def test_runs_in_the_engine(unet2d):
    inputs = list(torch.randn(8, 2, 1, 16, 16, generator=torch.Generator().manual_seed(1)).cumsum(0))
    with DeepCache(unet2d, schedule=Stability(8, 5, 0.2), branch="output") as cache:
        trajectory(unet2d, cache, inputs)
        steps = cache.full_steps
        trajectory(unet2d, cache, inputs)
        assert cache.full_steps == steps and len(steps) == 5 and steps[:3] == (0, 1, 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [((10, 11, 0.1), r"num_full must be between 1 and the number of steps \(10\), not 11"), ((10, 3, -1), "threshold")],
)
def test_what_is_out_of_range_is_named(values, message):
    with pytest.raises(DeepCacheError, match=message):
        Stability(*values)


def test_fewer_full_steps_than_the_rule_begins_with_are_refused(inputs):
    with pytest.raises(DeepCacheError, match="the first 3 steps are full, so num_full must be at least 3, not 2"):
        find_stability(inputs, 2)
