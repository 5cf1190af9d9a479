"""The U-Net is called several times a step: each stream of each trajectory has its own overridden feature."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, PNDMScheduler

from deepcache import DeepCache
from deepcache.caching.clock import MOST_STREAMS
from tests.caching.streams import NOISE, PATTERNS, STEPS, TOKENS, make_unet, reference, run, scheduler_of

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
        patch.setattr("deepcache.caching.timesteps._numbers", lambda timestep: None)
        return [run(unet, pattern, scheduler_of().timesteps) for _ in range(2)], cache.full_steps


def told(unet, pattern, **options):
    """Where nothing can be seen from the timesteps."""
    timesteps = scheduler_of().timesteps.tolist()
    with pytest.MonkeyPatch.context() as patch, DeepCache(unet, **options) as cache:
        patch.setattr("deepcache.caching.timesteps._numbers", lambda timestep: None)
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


def by_scheduler_without_steps(unet, pattern, **options):
    """A sampler of one's own, for which the scheduler sets timesteps and no more."""
    scheduler, found = DDIMScheduler(), []
    with DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), **options) as cache:
        for _ in range(2):
            scheduler.set_timesteps(STEPS)
            found.append(run(unet, pattern, scheduler.timesteps.tolist()))
        return found, cache.full_steps


def by_scheduler_and_a_copy_of_its_timesteps(unet, pattern, **options):
    """As where they are moved to another device."""
    scheduler, found = DDIMScheduler(), []
    with DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), **options) as cache:
        for _ in range(2):
            scheduler.set_timesteps(STEPS)
            timesteps = scheduler.timesteps.clone()
            found.append(run(unet, pattern, timesteps, after_step=lambda t: scheduler.step(NOISE, t, NOISE)))
        assert cache.bytes_cached == 0
        return found, cache.full_steps


GUESSED = (by_numbers, by_tensors_of_their_own, by_places)
DRIVERS = (
    by_numbers,
    by_tensors_of_their_own,
    by_places,
    told,
    by_scheduler,
    by_scheduler_and_tensors_of_their_own,
    by_scheduler_without_steps,
    by_scheduler_and_a_copy_of_its_timesteps,
)


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    ("driver", "branch", "full_steps"),
    [
        *((driver, 2, (0, 1, 5)) for driver in DRIVERS),
        *((by_scheduler, branch, (0, 3, 6)) for branch in (0, 5)),
    ],
)
def test_streams(caplog, driver, pattern, branch, full_steps):
    unet = make_unet()
    expected = reference(unet, branch, pattern, full_steps, scheduler_of().timesteps, guessed=driver in GUESSED)
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
    unet, scheduler = make_unet(), scheduler_of(kind, **options)
    timesteps = scheduler.timesteps
    full_steps = tuple(range(0, len(timesteps), 3))
    expected = reference(unet, 1, pattern, full_steps, timesteps)
    with DeepCache(unet, 3, 1) as cache:
        cache.start_trajectory()
        assert torch.equal(run(unet, pattern, timesteps), expected)
        assert (cache.steps, cache.full_steps) == (len(timesteps), full_steps)
    with DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), 3, 1) as cache:
        assert torch.equal(run(unet, pattern, timesteps), expected), "timesteps that were set before enabling"
        assert (cache.steps, cache.full_steps) == (len(timesteps), full_steps)


def test_conditions_apart_are_as_good_as_in_one_batch():
    unet = make_unet()
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
    with DeepCache(unet, 3, 1) as cache:
        found = []
        for apart in (False, True):
            cache.start_trajectory()
            found.append(sample(apart))
        together, apart = found
    assert torch.allclose(together, apart, rtol=0, atol=1e-4)
    assert not torch.allclose(together, uncached, rtol=0, atol=1e-2)


def test_a_single_timestep_does_not_fill_the_memory():
    """Distilled models: one call an image, always with the same timestep."""
    unet = make_unet()
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
    unet = make_unet()
    timesteps = scheduler_of().timesteps.tolist()
    expected = run(unet, "conditions apart", timesteps)
    monkeypatch.setattr("deepcache.caching.timesteps._numbers", lambda timestep: None)
    with DeepCache(unet, 3, 1):
        for _ in range(2):
            assert torch.equal(run(unet, "conditions apart", timesteps), expected)
    assert len(caplog.records) == 1
    assert "start_trajectory before each trajectory and its next_step before each step" in caplog.text
