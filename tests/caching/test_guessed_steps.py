"""Loops over a U-Net by itself in which nobody says what a step is: exact, or full, and never on another's feature."""

import pytest
import torch

from deepcache import DeepCache
from tests.caching.loops import FALLING, RISING, expected, logged, picture
from tests.caching.streams import NOISE, TOKENS, make_unet


@pytest.fixture(params=["host", "device"])
def place(request, monkeypatch):
    """Where timesteps lie: on a device, nobody may wait for their numbers."""
    if request.param == "device":
        monkeypatch.setattr("deepcache.caching.timesteps._numbers", lambda timestep: None)
    return request.param


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
