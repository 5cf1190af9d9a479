"""Sums of kept features with weights given for every step."""

import pytest
import torch
from diffusers import DDIMScheduler

from deepcache import DeepCache, DeepCacheError, Forecast, Hold
from deepcache.beyond.calibration.polynomial import polynomial_weights
from deepcache.caching.weighted import Weighted
from tests.caching.reference import overridden, trajectory

FULL, STEPS = (0, 2, 5), 8
WEIGHTS = {1: {0: 1.0}, 3: {0: -0.4, 2: 1.4}, 4: {0: -0.7, 2: 1.7}, 6: {2: -0.3, 5: 1.3}, 7: {5: 0.9}}


def test_sum_is_that_of_the_weights():
    features = [torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(step)) for step in range(3)]
    reuse = Weighted(WEIGHTS)
    reuse.observe(0, features[0])
    reuse.observe(2, features[1])
    assert torch.allclose(reuse.predict(3), -0.4 * features[0] + 1.4 * features[1], atol=1e-6)
    reuse.observe(5, features[2])
    assert torch.allclose(reuse.predict(6), -0.3 * features[1] + 1.3 * features[2], atol=1e-6)
    assert torch.allclose(reuse.predict(7), 0.9 * features[2])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_sums_are_rounded_once_to_the_precision_of_the_feature(dtype):
    features = [torch.randn(64, generator=torch.Generator().manual_seed(step)).to(dtype) for step in range(2)]
    reuse = Weighted({2: {0: -0.7, 1: 1.7}})
    for step, feature in enumerate(features):
        reuse.observe(step, feature)
    exact = -0.7 * features[0].double() + 1.7 * features[1].double()
    predicted = reuse.predict(2)
    assert predicted.dtype == dtype
    assert ((predicted.double() - exact).abs() <= exact.abs() * torch.finfo(dtype).eps / 2 + 1e-6).all()


def test_a_feature_is_kept_until_the_last_step_that_needs_it():
    reuse, one, kept = Weighted(WEIGHTS), torch.ones(1, 2, 2, 2), []
    for step in (0, 2, 5):
        reuse.observe(step, one)
        kept.append(reuse.nbytes // one.nbytes)
    assert kept == [1, 2, 2]
    reuse.observe(7, one)
    assert reuse.nbytes == 0, "a feature that no step needs is not kept"
    reuse.observe(0, one)
    reuse.reset()
    assert reuse.held == ()


def test_a_single_weight_of_one_is_the_feature_itself():
    feature = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    reuse = Weighted({1: {0: 1.0}})
    reuse.observe(0, feature)
    assert reuse.predict(1) is feature


def test_samples_are_those_of_overriding_the_feature_with_the_sum(unet2d):
    def weighted_sum(features, step):
        return sum(WEIGHTS[step].get(node, 0.0) * feature for node, feature in features)

    with overridden(unet2d, 2, FULL, weighted_sum):
        expected = trajectory(unet2d, DDIMScheduler(), STEPS)
    with DeepCache(unet2d, schedule=FULL, branch=2, reuse=Weighted(WEIGHTS)) as cache:
        found = trajectory(unet2d, DDIMScheduler(), STEPS)
        assert cache.full_steps == FULL
    assert torch.allclose(found, expected, atol=1e-5)
    with DeepCache(unet2d, schedule=FULL, branch=2):
        assert not torch.allclose(trajectory(unet2d, DDIMScheduler(), STEPS), expected, atol=1e-3)


@pytest.mark.parametrize("order", [0, 1])
def test_weights_of_a_forecast_give_its_samples(unet2d, order):
    weights = polynomial_weights(FULL, STEPS, order)
    samples = []
    for reuse in (Hold() if order == 0 else Forecast(order), Weighted(weights)):
        with DeepCache(unet2d, schedule=FULL, branch=2, reuse=reuse):
            samples.append(trajectory(unet2d, DDIMScheduler(), STEPS))
    assert torch.equal(*samples)


def test_at_interval_one_nothing_changes(unet2d):
    expected = trajectory(unet2d, DDIMScheduler(), STEPS)
    with DeepCache(unet2d, schedule=tuple(range(STEPS)), branch=2, reuse=Weighted({})) as cache:
        assert torch.equal(trajectory(unet2d, DDIMScheduler(), STEPS), expected)
        assert cache.bytes_cached == 0


def test_a_step_without_weights_and_a_missing_feature_are_refused():
    reuse = Weighted(WEIGHTS)
    reuse.observe(0, torch.zeros(1))
    for step in (2, 3):
        with pytest.raises(DeepCacheError, match=f"step {step} does not fit these weights: run them with the full"):
            reuse.predict(step)


@pytest.mark.parametrize("weights", [{1: {}}, {1: {1: 1.0}}, {3: {0: 0.5, 4: 0.5}}, {1: {-1: 1.0}}])
def test_weights_of_no_earlier_step_are_refused(weights):
    with pytest.raises(DeepCacheError, match=r"weights of step . must be those of steps before it, not"):
        Weighted(weights)
