"""The U-Net is called several times a step: each stream of each trajectory has its own overridden feature."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, PNDMScheduler

from deepcache import DeepCache, DeepCacheError, Forecast
from deepcache.beyond.caching.online import InputChange
from deepcache.beyond.caching.weighted import Weighted
from deepcache.caching import clock
from deepcache.caching.clock import MOST_STREAMS
from tests.caching.reference import FEEDERS, feature_replaced
from tests.conftest import make_unet2d_condition

TOKENS = torch.randn(6, 2, 5, 16, generator=torch.Generator().manual_seed(7))
NOISE = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
STEPS = 7

# What a step calls the U-Net with: the name of each stream, how many of the two images, which context. A pattern is a
# function of the step.
PATTERNS = {
    "one batch": lambda step: [("both", 2, 0)],
    "conditions apart": lambda step: [("without", 2, 0), ("with", 2, 1)],
    "self-attention guidance": lambda step: [("guided", 2, 0), ("degraded", 1, 1)],
    "three tiles": lambda step: [(f"tile {tile}", 1, 0) for tile in range(3)],
    "refined at some steps": lambda step: [("one", 1, 0)] + [("again", 1, 0)] * (step in (1, 2)) + [("both", 2, 1)],
    "guidance ends": lambda step: [("guided", 2, 0)] if step < 4 else [("plain", 1, 1)],
    "the first condition ends": lambda step: [("without", 2, 0)] * (step < 4) + [("with", 2, 1)],
    "guidance in the middle": lambda step: [("with", 2, 1)] + [("without", 2, 0)] * (2 <= step < 5),
}


def run(unet, pattern, timesteps, before_step=lambda: None, after_step=lambda t: None):
    """A made-up trajectory; every call's output goes into the latent."""
    x = NOISE.clone()
    with torch.no_grad():
        for step, t in enumerate(timesteps):
            before_step()
            for name, images, context in PATTERNS[pattern](step):
                change = unet(x[:images], t, TOKENS[context][:images]).sample
                x = x - 0.1 * torch.cat([change] * 2)[:2] * (1 + 0.1 * len(name))
            after_step(t)
    return x


def planned(pattern, full_steps, steps=STEPS):
    """For each call its stream and whether it runs fully: at a full step, or if the stream was not there before."""
    calls, before = [], set()
    for step in range(steps):
        names = [name for name, *_ in PATTERNS[pattern](step)]
        calls += [(name, step in full_steps or name not in before) for name in names]
        before = set(names)
    return calls


@contextmanager
def streams_overridden(unet, branch, calls):
    """Replace each stream's feature by that of its last full call where it does not run fully."""
    features, left = {}, iter(calls)

    def override(feature):
        name, full = next(left)
        if full:
            features[name] = feature.clone()
        return features[name].clone()

    handle = feature_replaced(unet, FEEDERS["UNet2DConditionModel"][branch], override)
    try:
        yield
    finally:
        handle.remove()


def reference(unet, branch, pattern, full_steps, timesteps):
    with streams_overridden(unet, branch, planned(pattern, full_steps, len(timesteps))):
        return run(unet, pattern, timesteps)


def scheduler_of(kind=DDIMScheduler, **options):
    scheduler = kind(**options)
    scheduler.set_timesteps(STEPS)
    return scheduler


# How the step of a call is known.


def by_numbers(unet, pattern, **options):
    timesteps = scheduler_of().timesteps.tolist()
    with DeepCache(unet, **options) as cache:
        return [run(unet, pattern, timesteps) for _ in range(2)], cache.full_steps


def by_tensors_of_their_own(unet, pattern, **options):
    timesteps = [torch.full((2,), t) for t in scheduler_of().timesteps.tolist()]
    with DeepCache(unet, **options) as cache:
        return [run(unet, pattern, [t[:1].clone() for t in timesteps]) for _ in range(2)], cache.full_steps


def by_places(unet, pattern, **options):
    """As on a GPU, whose numbers nobody may wait for."""
    with pytest.MonkeyPatch.context() as patch, DeepCache(unet, **options) as cache:
        patch.setattr(clock, "value", lambda timestep: None)
        return [run(unet, pattern, scheduler_of().timesteps) for _ in range(2)], cache.full_steps


def told(unet, pattern, **options):
    """Where nothing can be seen from the timesteps."""
    timesteps = scheduler_of().timesteps.tolist()
    with pytest.MonkeyPatch.context() as patch, DeepCache(unet, **options) as cache:
        patch.setattr(clock, "value", lambda timestep: None)
        found = []
        for _ in range(2):
            cache.start_trajectory()
            found.append(run(unet, pattern, timesteps, before_step=cache.next_step))
        return found, cache.full_steps


def by_scheduler(unet, pattern, views=True, **options):
    scheduler = DDIMScheduler()
    found = []
    with DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), **options) as cache:
        for _ in range(2):
            scheduler.set_timesteps(STEPS)
            timesteps = scheduler.timesteps if views else [t.clone() for t in scheduler.timesteps]
            found.append(run(unet, pattern, timesteps, after_step=lambda t: scheduler.step(NOISE, t, NOISE)))
        assert cache.bytes_cached == 0, "nothing is kept beyond the last step"
        return found, cache.full_steps


def by_scheduler_and_tensors_of_their_own(unet, pattern, **options):
    return by_scheduler(unet, pattern, views=False, **options)


DRIVERS = (
    by_numbers,
    by_tensors_of_their_own,
    by_places,
    told,
    by_scheduler,
    by_scheduler_and_tensors_of_their_own,
)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    ("driver", "branch", "full_steps"),
    [
        *((driver, 2, (0, 1, 5)) for driver in DRIVERS),
        *((by_scheduler, branch, (0, 3, 6)) for branch in (0, 11)),
    ],
)
def test_streams(caplog, driver, pattern, branch, full_steps):
    unet = make_unet2d_condition()
    expected = reference(unet, branch, pattern, full_steps, scheduler_of().timesteps)
    found, counted = driver(unet, pattern, schedule=full_steps, branch=branch)
    assert all(torch.equal(one, expected) for one in found), "the second trajectory begins anew"
    assert not torch.equal(expected, run(unet, pattern, scheduler_of().timesteps))
    assert set(full_steps) <= set(counted) or pattern == "refined at some steps"
    assert not caplog.records


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (PNDMScheduler, {"skip_prk_steps": True}),
        (PNDMScheduler, {"skip_prk_steps": False}),
        (HeunDiscreteScheduler, {}),
        (EulerDiscreteScheduler, {}),
    ],
)
@pytest.mark.parametrize("pattern", ["one batch", "conditions apart"])
def test_schedulers_that_repeat_a_timestep(kind, options, pattern):
    """Each evaluation is a step, with a pipeline and without."""
    unet, scheduler = make_unet2d_condition(), scheduler_of(kind, **options)
    timesteps = scheduler.timesteps
    full_steps = tuple(range(0, len(timesteps), 3))
    expected = reference(unet, 1, pattern, full_steps, timesteps)
    with DeepCache(unet, 3, 1) as cache:
        assert torch.equal(run(unet, pattern, timesteps), expected)
        assert (cache.steps, cache.full_steps) == (len(timesteps), full_steps)
    with DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), 3, 1) as cache:
        assert torch.equal(run(unet, pattern, timesteps), expected), "timesteps that were set before enabling"
        assert (cache.steps, cache.full_steps) == (len(timesteps), full_steps)


@pytest.mark.parametrize("pattern", ["conditions apart", "self-attention guidance"])
def test_forecasts_of_streams(pattern):
    """Each from its own features: equal to caching each stream on a U-Net of its own."""
    unet, forecast = make_unet2d_condition(), Forecast(1)
    timesteps = scheduler_of().timesteps.tolist()
    with DeepCache(unet, 2, 1, reuse=forecast) as cache:
        together = run(unet, pattern, timesteps)
        one = cache.bytes_cached
        assert one > sum(tensor.nbytes for tensor in forecast.held) > 0
    names = [name for name, *_ in PATTERNS[pattern](0)]
    apart = {name: make_unet2d_condition() for name in names}
    caches = [DeepCache(unet, 2, 1, reuse=Forecast(1)).enable() for unet in apart.values()]
    turn = iter(names * STEPS)
    assert torch.equal(run(lambda *call: apart[next(turn)](*call), pattern, timesteps), together)
    assert sum(cache.bytes_cached for cache in caches) == one


@pytest.mark.parametrize("pattern", ["conditions apart", "guidance ends", "self-attention guidance"])
def test_a_plans_weights_in_streams(pattern):
    """Weights that hold the last feature are holding; a stream that lacks one of those they need runs fully."""
    unet, full_steps = make_unet2d_condition(), (0, 3)
    timesteps = scheduler_of().timesteps.tolist()
    weights = {step: {3 * (step // 3): 1.0} for step in range(STEPS) if step not in full_steps}
    weights[6] = {0: -1.0, 3: 2.0}
    with DeepCache(unet, schedule=full_steps, branch=1, reuse=Weighted(weights)) as cache:
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

    handle = feature_replaced(unet, FEEDERS["UNet2DConditionModel"][1], override)
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

    unet = make_unet2d_condition()
    timesteps = scheduler_of().timesteps
    with DeepCache(unet, schedule=Asked(STEPS, 3, 0.2), branch=1) as cache:
        found = run(unet, pattern, timesteps)
        full_steps = cache.full_steps
    assert asked == list(range(STEPS))
    assert torch.equal(found, reference(unet, 1, pattern, full_steps, timesteps))


def test_conditions_apart_are_as_good_as_in_one_batch():
    unet = make_unet2d_condition()
    timesteps = scheduler_of().timesteps

    def guided(x, t, apart):
        if apart:
            without, given = (unet(x, t, TOKENS[i]).sample for i in (0, 1))
        else:
            without, given = unet(torch.cat([x, x]), t, TOKENS[:2].flatten(0, 1)).sample.chunk(2)
        return without + 3 * (given - without)

    def sample(apart):
        scheduler, x = scheduler_of(), NOISE.clone()
        with torch.no_grad():
            for t in timesteps:
                x = scheduler.step(guided(x, t, apart), t, x).prev_sample
        return x

    uncached = sample(False)
    with DeepCache(unet, 3, 1):
        together, apart = sample(False), sample(True)
    assert torch.allclose(together, apart, rtol=0, atol=1e-4)
    assert not torch.allclose(together, uncached, rtol=0, atol=1e-2)


def test_a_single_timestep_does_not_fill_the_memory():
    """Distilled models: one call an image, always with the same timestep."""
    unet = make_unet2d_condition()
    with torch.no_grad(), DeepCache(unet, 2, 0) as cache:
        for _ in range(3 * MOST_STREAMS):
            unet(NOISE[:1], 999, TOKENS[0][:1])
        one = cache.bytes_cached / MOST_STREAMS
        cache.start_trajectory()
        unet(NOISE[:1], 999, TOKENS[0][:1])
        assert one <= cache.bytes_cached
        assert cache.full_steps == (0,)


def test_what_cannot_be_told_runs_fully_with_one_warning(caplog, monkeypatch):
    """Timesteps on a device, each a tensor of its own."""
    unet = make_unet2d_condition()
    timesteps = scheduler_of().timesteps.tolist()
    expected = run(unet, "conditions apart", timesteps)
    monkeypatch.setattr(clock, "value", lambda timestep: None)
    with DeepCache(unet, 3, 1):
        for _ in range(2):
            assert torch.equal(run(unet, "conditions apart", timesteps), expected)
    assert len(caplog.records) == 1
    assert "start_trajectory before each trajectory and its next_step before each step" in caplog.text


def test_next_step_after_calls_that_were_told_apart_is_refused():
    unet = make_unet2d_condition()
    with torch.no_grad(), DeepCache(unet, 3, 1) as cache:
        unet(NOISE, 999, TOKENS[0])
        with pytest.raises(DeepCacheError, match="next_step comes before the calls of every step, the first one too"):
            cache.next_step()
        cache.start_trajectory()
        cache.next_step()
        unet(NOISE, 999, TOKENS[0])
        cache.next_step()
        unet(NOISE, 999, TOKENS[0])
        assert (cache.steps, cache.full_steps) == (2, (0,))
