"""Every way to cache at one budget, on a tiny U-Net."""

import pytest

from deepcache import DeepCache, DeepCacheError, Hold, uniform
from deepcache.beyond.caching.online import InputChange
from deepcache.beyond.calibration.calibrate import calibrate
from deepcache.beyond.calibration.choose import SampledError
from deepcache.beyond.calibration.recording import record
from deepcache.beyond.comparison.contenders import contenders, watch
from deepcache.beyond.methods.chosen import Chosen
from deepcache.methods.method import Method
from tests.beyond.tiny import BRANCH, INDICES, SAMPLER, SEED, STEPS, TinyModel, asked, sampled

WAYS = {
    "uniform": ["hold", "forecast1", "forecast2", "joint1", "affine"],
    "eq7": ["hold", "forecast1"],
    "additive": ["hold", "forecast1"],
    **{name: ["hold"] for name in ("drift", "window-start", "window-end", "linear-gap", "key-steps")},
    "online": ["hold", "forecast1"],
    "chosen": ["chosen"],
}


@pytest.fixture
def model(unet2d):
    return TinyModel(unet2d)


def made(model, eq7):
    recorded = record(model, SAMPLER, BRANCH, [INDICES], SEED)
    plan = calibrate(asked(model, SEED + 1), Method(Chosen(4), BRANCH), recorded, INDICES, screened=1)
    error = SampledError(model, SAMPLER, BRANCH, INDICES, SEED + 1)
    watched = watch(model, SAMPLER, BRANCH, INDICES, SEED)
    assert len(watched.inputs) == STEPS
    return list(contenders(recorded, watched, SAMPLER.steps, 4, error, eq7, plan))


def test_all_have_as_many_full_steps(model):
    ways = made(model, [(3, 1.2), (6, 1.2), (6, 1.4)])
    found = {}
    for way in ways:
        found.setdefault(way.schedule, []).append(way.reuse)
    assert found == WAYS
    for way in ways:
        with DeepCache(model.unet, schedule=way.full_steps, branch=BRANCH, reuse=way.make_reuse()) as cache:
            cache.start_trajectory()
            images = model.sample(INDICES, 9, SAMPLER)
            assert len(cache.full_steps) == 3, way
            assert isinstance(way.full_steps, InputChange) or way.full_steps == cache.full_steps
        if isinstance(way.full_steps, tuple):
            again = sampled(model, way.full_steps, way.make_reuse(), 9)
            assert (again == images).all(), "nothing is left from before"
    held = next(way for way in ways if (way.schedule, way.reuse) == ("uniform", "hold"))
    assert held.full_steps == uniform(STEPS, 4)
    assert (sampled(model, held.full_steps, held.make_reuse()) == sampled(model, uniform(STEPS, 4), Hold())).all()


def test_the_paper_has_to_be_among_them(model):
    with pytest.raises(DeepCacheError, match=r"no centre and power of Eq\. 7 that were given lead to 3 full"):
        made(model, [])
