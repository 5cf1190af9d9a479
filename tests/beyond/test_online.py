"""Full steps that are decided while it samples."""

import pytest
import torch

from deepcache import DeepCache, DeepCacheError, Hold
from deepcache.beyond.caching.online import InputChange, find_threshold


def decisions(schedule, inputs):
    schedule.reset()
    return [step for step, sample in enumerate(inputs) if schedule.is_full(step, sample)]


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    changes = [torch.randn(2, 1, 4, 4, generator=generator) * (0.1 + 0.4 * (step > 8)) for step in range(15)]
    return list(torch.stack([torch.randn(2, 1, 4, 4, generator=generator), *changes]).cumsum(0))


def test_decides_as_a_direct_loop_does(inputs):
    found, last, spent = [], None, 0
    for step, x in enumerate(inputs):
        left = 5 - spent
        if left and (last is None or 16 - step <= left or (x - last).norm() / last.norm() > 0.45):
            found, last, spent = [*found, step], x, spent + 1
    assert decisions(InputChange(16, 5, 0.45), inputs) == found
    assert found not in ([0, 1, 2, 3, 4], [0, 12, 13, 14, 15])


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 1.0, float("inf")])
def test_every_threshold_spends_the_budget(inputs, threshold):
    for count in (1, 4, 16):
        assert len(decisions(InputChange(16, count, threshold), inputs)) == count


def test_the_threshold_that_is_found_spends_it_over_the_trajectory(inputs):
    threshold = find_threshold(inputs, 5)
    steps = decisions(InputChange(16, 5, threshold), inputs)
    assert steps[0] == 0 and len(steps) == 5
    without_a_budget = decisions(InputChange(32, 16, threshold), inputs)
    assert len(without_a_budget) <= 5 < len(decisions(InputChange(32, 16, threshold * 0.99), inputs))


def test_arguments_out_of_range():
    with pytest.raises(DeepCacheError, match="num_full must be between 1 and the number of steps"):
        InputChange(4, 5, 0.1)
    for threshold in (-0.1, float("nan")):
        with pytest.raises(DeepCacheError, match="threshold must be a number of at least 0"):
            InputChange(4, 2, threshold)


def trajectory(unet, cache, inputs):
    cache.start_trajectory()
    with torch.no_grad():
        return [unet(x, 900 - 10 * step).sample for step, x in enumerate(inputs)]


def test_runs_in_the_engine_as_the_steps_that_it_decided(unet2d):
    inputs = list(torch.randn(8, 2, 1, 16, 16, generator=torch.Generator().manual_seed(1)).cumsum(0))
    with DeepCache(unet2d, schedule=InputChange(8, 3, 0.6), branch=1) as cache:
        found = trajectory(unet2d, cache, inputs)
        steps = cache.full_steps
        again = trajectory(unet2d, cache, inputs)
        assert cache.full_steps == steps and len(steps) == 3
        with pytest.raises(RuntimeError):
            unet2d(torch.zeros(2, 3, 16, 16), 999)  # another number of channels
        assert trajectory(unet2d, cache, inputs)[5].equal(found[5])
    with DeepCache(unet2d, schedule=steps, branch=1, reuse=Hold()) as cache:
        fixed = trajectory(unet2d, cache, inputs)
    assert all(one.equal(other) for one, other in zip(found, fixed, strict=True))
    assert all(one.equal(other) for one, other in zip(found, again, strict=True))
