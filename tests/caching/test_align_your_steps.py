"""DPM-Solver++ at the timesteps of Align Your Steps, against the published ones."""

from types import SimpleNamespace

import pytest
from diffusers import PNDMScheduler

from deepcache import DeepCacheError
from deepcache.caching.schedulers import make_scheduler

# Sabour et al. 2024, for ten steps.
STABLE_DIFFUSION = [999, 850, 736, 645, 545, 455, 343, 233, 124, 24]
SDXL = [999, 845, 730, 587, 443, 310, 193, 116, 53, 13]
CONFIG = PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1).config
XL = SimpleNamespace(text_encoder_2=None)


def timesteps(steps, pipe=None, config=CONFIG):
    scheduler = make_scheduler("dpmpp_ays", config, pipe)
    scheduler.set_timesteps(steps, device="cpu")
    return scheduler.timesteps.tolist()


@pytest.mark.parametrize(("pipe", "published"), [(None, STABLE_DIFFUSION), (XL, SDXL)])
def test_ten_steps_are_the_published_ones(pipe, published):
    assert timesteps(10, pipe) == published
    assert timesteps(20, pipe)[::2] == published  # the others lie between them
    assert timesteps(5, pipe) == published[::2]


@pytest.mark.parametrize("pipe", [None, XL])
def test_no_two_timesteps_coincide(pipe):
    for steps in range(1, 1001):
        found = timesteps(steps, pipe)
        assert len(found) == steps
        assert found == sorted(set(found), reverse=True)
        assert 0 <= found[-1] <= found[0] <= 999


def test_spacings_of_the_own_scheduler_do_not_count():
    assert timesteps(10, config={**CONFIG, "use_karras_sigmas": True}) == STABLE_DIFFUSION


@pytest.mark.parametrize("trained", [500, 2000])
def test_other_trainings_are_refused(trained):
    with pytest.raises(DeepCacheError, match=f"found for 1000 timesteps of the training, not {trained}: take dpmpp"):
        make_scheduler("dpmpp_ays", PNDMScheduler(num_train_timesteps=trained).config)
