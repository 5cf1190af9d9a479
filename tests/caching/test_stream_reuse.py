"""Forecasts, plans and schedules that decide, where the U-Net is called several times a step."""

import pytest
import torch

from deepcache import DeepCache, Forecast
from deepcache.beyond.caching.online import InputChange
from deepcache.caching.weighted import Weighted
from tests.caching.reference import feature_replaced
from tests.caching.streams import FEEDERS, PATTERNS, STEPS, make_unet, reference, run, scheduler_of


@pytest.mark.parametrize("pattern", ["conditions apart", "self-attention guidance"])
def test_forecasts_of_streams(pattern):
    """Each from its own features: equal to caching each stream on a U-Net of its own."""
    unet, forecast = make_unet(), Forecast(1)
    timesteps = scheduler_of().timesteps.tolist()
    with DeepCache(unet, 2, 1, reuse=forecast) as cache:
        cache.start_trajectory()
        together = run(unet, pattern, timesteps)
        one = cache.bytes_cached
        assert one > sum(tensor.nbytes for tensor in forecast.held) > 0
    names = [name for name, *_ in PATTERNS[pattern](0)]
    apart = {name: make_unet() for name in names}
    caches = [DeepCache(unet, 2, 1, reuse=Forecast(1)).enable() for unet in apart.values()]
    turn = iter(names * STEPS)
    assert torch.equal(run(lambda *call: apart[next(turn)](*call), pattern, timesteps), together)
    assert sum(cache.bytes_cached for cache in caches) == one


@pytest.mark.parametrize("pattern", ["conditions apart", "guidance ends", "self-attention guidance"])
def test_a_plans_weights_in_streams(pattern):
    """Weights that hold the last feature are holding; a stream that lacks one of those they need runs fully."""
    unet, full_steps = make_unet(), (0, 3)
    timesteps = scheduler_of().timesteps.tolist()
    weights = {step: {3 * (step // 3): 1.0} for step in range(STEPS) if step not in full_steps}
    weights[6] = {0: -1.0, 3: 2.0}
    with DeepCache(unet, schedule=full_steps, branch=1, reuse=Weighted(weights)) as cache:
        cache.start_trajectory()
        found = run(unet, pattern, timesteps)
        counted = cache.full_steps
    assert counted == ((0, 3, 4, 5, 6) if pattern == "guidance ends" else full_steps)
    features = {}
    calls = iter([call for step in range(STEPS) for call in [(step, name) for name, *_ in PATTERNS[pattern](step)]])

    def override(feature):
        step, name = next(calls)
        if step in counted:
            features[name, step] = feature.clone()
            return feature
        kept = {node: features[name, node] for node in weights[step]}
        return sum(weight * kept[node] for node, weight in weights[step].items())

    handle = feature_replaced(unet, FEEDERS[1], override)
    expected = run(unet, pattern, timesteps)
    handle.remove()
    assert torch.allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("pattern", ["conditions apart", "guidance ends"])
def test_a_schedule_that_decides_is_asked_once_a_step(pattern):
    asked = []

    class Asked(InputChange):
        def is_full(self, step, sample):
            asked.append(step)
            return super().is_full(step, sample)

    unet = make_unet()
    timesteps = scheduler_of().timesteps
    with DeepCache(unet, schedule=Asked(STEPS, 3, 0.2), branch=1) as cache:
        cache.start_trajectory()
        found = run(unet, pattern, timesteps)
        full_steps = cache.full_steps
    assert asked == list(range(STEPS))
    assert torch.equal(found, reference(unet, 1, pattern, full_steps, timesteps))
