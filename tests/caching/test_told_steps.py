"""Who says what a step is: next_step, a scheduler, or nobody any more; and what tells conditions apart."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler

from deepcache import DeepCache, DeepCacheError
from tests.caching.loops import FALLING, expected, logged, picture
from tests.caching.streams import NOISE, TOKENS, make_unet


def test_next_step_after_calls_that_were_told_apart_is_refused():
    unet = make_unet()
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


def test_a_forgotten_start_is_seen_where_the_first_timestep_comes_again():
    unet = make_unet()

    def loop():
        found = []
        for seed in (0, 1):
            x = NOISE.roll(seed, 0) * (1 + seed)
            for t in FALLING.tolist():
                cache.next_step()
                x = x - 0.1 * unet(x, t, TOKENS[0]).sample
            found.append(x)
        return found

    with DeepCache(unet, 3, 1) as cache:
        found, ran = logged(unet, loop)
    assert ran == "F..F..F..F" * 2
    assert torch.equal(found[1], expected(unet, "F..F..F..F", 1))


def test_told_once_and_then_by_a_loop_that_does_not_tell():
    unet = make_unet()
    with DeepCache(unet, 3, 1) as cache:
        with torch.no_grad():
            for t in FALLING.tolist():
                cache.next_step()
                unet(NOISE, t, TOKENS[0])
        found, ran = logged(unet, lambda: [picture(unet, FALLING, seed) for seed in (0, 1)])
    assert ran == "F..F..F..F" * 2
    assert torch.equal(found[1], expected(unet, "F..F..F..F", 1))


@pytest.mark.parametrize("kind", [DDIMScheduler, DDIMInverseScheduler])
def test_a_schedulers_timesteps_as_numbers_and_again(kind):
    """Image-to-image by hand: set_timesteps once, two pictures over the second half."""
    unet, scheduler = make_unet(), kind()
    scheduler.set_timesteps(10)

    def loop():
        found = []
        for seed in (0, 1):
            x = NOISE.roll(seed, 0) * (1 + seed)
            for t in scheduler.timesteps[4:].tolist():
                x = scheduler.step(unet(x, t, TOKENS[0]).sample, t, x).prev_sample
            found.append(x)
        return found

    with DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), 3, 1):
        scheduler.set_timesteps(10)
        found, ran = logged(unet, loop)
        assert ran == "F..F.." * 2
        scheduler.set_timesteps(10)
        again, _ = logged(unet, loop)
    assert torch.equal(found[1], again[1])


def test_conditions_without_a_context_of_their_own_are_in_doubt_for_one_step_alone():
    """Contexts made anew for each call: once fewer calls have come, nothing is kept."""
    unet = make_unet()

    def loop():
        x = NOISE.clone()
        cache.start_trajectory()
        for step, t in enumerate(FALLING.tolist()):
            cache.next_step()
            for context in (0, 1) if step < 4 else (1,):
                x = x - 0.1 * unet(x, t, TOKENS[context].clone()).sample
        return x

    with DeepCache(unet, schedule=(0,), branch=1) as cache:
        _, ran = logged(unet, loop)
        assert ran == "FF" + ".." * 3 + ".F...."


def test_labels_tell_conditions_apart():
    unet = make_unet(num_class_embeds=3)
    labels = torch.tensor([1, 1]), torch.tensor([2, 2])

    def loop():
        x = NOISE.clone()
        cache.start_trajectory()
        for step, t in enumerate(FALLING.tolist()):
            cache.next_step()
            for label in labels if step < 4 else labels[1:]:
                x = x - 0.1 * unet(x, t, TOKENS[0], class_labels=label).sample
        return x

    with DeepCache(unet, schedule=(0,), branch=1) as cache:
        _, ran = logged(unet, loop)
    assert ran == "FF" + ".." * 3 + "." * 6


def test_nothing_is_left_where_enabling_fails():
    unet, scheduler = make_unet(), DDIMScheduler()
    cache = DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), 3, graph=True)
    with pytest.raises(DeepCacheError, match="graph=True needs a CUDA device"):
        cache.enable()
    assert not {"set_timesteps", "step"} & vars(scheduler).keys()
    assert not any(module._forward_hooks for module in unet.modules()) and DeepCache.of(unet) is None


def test_a_scheduler_that_sets_no_timesteps_is_refused_and_nothing_is_left():
    unet = make_unet()
    for scheduler in (None, object()):
        with pytest.raises(DeepCacheError, match="has no scheduler that sets timesteps"):
            DeepCache(SimpleNamespace(unet=unet, scheduler=scheduler), 3)
    assert "forward" not in vars(unet)
