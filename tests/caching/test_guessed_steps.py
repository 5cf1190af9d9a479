"""Loops over a U-Net by itself in which nobody says what a step is: exact, or full, and never on another's feature."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler

from deepcache import DeepCache, DeepCacheError
from tests.caching.streams import NOISE, TOKENS, make_unet

RISING = torch.arange(0, 1000, 100)
FALLING = RISING.flip(0).contiguous()


@pytest.fixture(params=["host", "device"])
def place(request, monkeypatch):
    """Where timesteps lie: on a device, nobody may wait for their numbers."""
    if request.param == "device":
        monkeypatch.setattr("deepcache.caching.timesteps._numbers", lambda timestep: None)
    return request.param


def logged(unet, loop):
    """What a loop returns, and for each call of the U-Net whether it ran fully."""
    ran = []
    handles = [
        unet.register_forward_pre_hook(lambda *_: ran.append(".")),
        unet.mid_block.register_forward_hook(lambda *_: ran.__setitem__(-1, "F")),
    ]
    try:
        with torch.no_grad():
            return loop(), "".join(ran)
    finally:
        for handle in handles:
            handle.remove()


def picture(unet, timesteps, seed=0, context=0):
    """A made-up trajectory of a picture of its own."""
    x = NOISE.roll(seed, 0) * (1 + seed)
    for t in timesteps:
        x = x - 0.1 * unet(x, t, TOKENS[context]).sample
    return x


def expected(unet, pattern, seed=0, length=10):
    """The picture for which the calls of a pattern run fully, such as F..F, from a cache that is told every step."""
    full = tuple(step for step, mark in enumerate(pattern) if mark == "F")
    with torch.no_grad(), DeepCache(unet, schedule=full, branch=1) as cache:
        x = NOISE.roll(seed, 0) * (1 + seed)
        for step in range(length):
            cache.next_step()
            x = x - 0.1 * unet(x, 900 - 100 * step, TOKENS[0]).sample
        return x


TABLE = torch.stack([FALLING] * 2)
# Loops over the timesteps of a picture, and which of its calls run fully where numbers are known, and where not.
LOOPS = {
    "in turn": (lambda seed: FALLING, "F..F..F..F", "F..F..F..F"),
    "backwards": (lambda seed: (RISING[i] for i in reversed(range(10))), "F..F..F..F", None),
    "rows of a table": (lambda seed: TABLE[seed], "F..F..F..F", "F" * 10),
    "tensors of their own": (lambda seed: (t.clone() for t in FALLING), "F..F..F..F", "F" * 10),
    "numbers": (lambda seed: FALLING.tolist(), "F..F..F..F", "F" * 10),
    "for each image": (lambda seed: (t.repeat(2) for t in FALLING), "F..F..F..F", "F" * 10),
    "one that is written into": (lambda seed: written(), "F..F..F..F", "F" * 10),
}


def written():
    """A buffer that is counted down in place."""
    t = torch.tensor(1000)
    for _ in range(10):
        t -= 100
        yield t


@pytest.mark.parametrize("name", LOOPS)
def test_pictures_one_after_another(place, name):
    unet = make_unet()
    timesteps, on_host, on_device = LOOPS[name]
    with DeepCache(unet, 3, 1):
        found, ran = logged(unet, lambda: [picture(unet, timesteps(seed), seed) for seed in (0, 1)])
    pattern = on_host if place == "host" else on_device
    if pattern is None:  # the first picture shows in which direction the array is gone through
        assert ran[:2] == "FF" and ran[10:] == on_host
        pattern = on_host
        found, ran = found[1:], ran[10:]
    assert ran == pattern * len(found)
    for image, seed in zip(reversed(found), (1, 0), strict=False):
        assert torch.equal(image, expected(unet, pattern, seed))


def test_a_rising_array_begins_anew():
    """As flows count, or an inversion."""
    unet = make_unet()
    with DeepCache(unet, 3, 1):
        found, ran = logged(unet, lambda: [picture(unet, RISING, seed) for seed in (0, 1)])
    assert ran == "F..F..F..F" * 2
    with DeepCache(unet, 3, 1):
        assert torch.equal(logged(unet, lambda: picture(unet, RISING, 1))[0], found[1])


@pytest.mark.parametrize("kind", ["numbers", "views"])
@pytest.mark.parametrize("before", ["a warm-up", "an inversion", "a picture of one step"])
def test_a_picture_that_begins_where_another_call_was(place, kind, before):
    """With the same context and shape: its first call may be a further stream, and what follows must not rely on it."""
    unet = make_unet()

    def loop():
        of = (lambda t: t) if kind == "views" else int
        if before == "an inversion":
            picture(unet, [of(FALLING[i]) for i in reversed(range(10))], 1)
        elif before == "a warm-up":
            unet(3 * NOISE, of(FALLING[0]), TOKENS[0])
        else:
            picture(unet, [of(FALLING[0])], 1)
        return picture(unet, [of(t) for t in FALLING])

    with DeepCache(unet, 3, 1):
        found, ran = logged(unet, loop)
    ran = ran[-10:]
    assert ran.startswith("FF")
    assert torch.equal(found, expected(unet, ran)), "each shallow call has the picture's own feature"
    # From the first call on that was known to be its own, the schedule is kept.
    if kind == "views" or place == "host":
        assert ran.count("F") <= 6


def test_more_calls_a_step_than_can_be_told_run_fully(caplog):
    unet = make_unet()

    def loop():
        x = [NOISE[:1] + tile for tile in range(70)]
        for t in (900, 800, 700):
            x = [one - 0.1 * unet(one, t, TOKENS[0][:1]).sample for one in x]
        return torch.cat(x)

    full, _ = logged(unet, loop)
    with DeepCache(unet, 3, 1) as cache:
        found, ran = logged(unet, loop)
        assert cache.bytes_cached == 0
    assert torch.equal(found, full) and set(ran) == {"F"}
    assert len(caplog.records) == 1 and "next_step before each step" in caplog.text


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
