"""Corrections of a held feature by channel."""

import numpy as np
import pytest
import torch

from deepcache import DeepCacheError, Hold
from deepcache.beyond.caching.affine import Affine
from deepcache.beyond.calibration.affine import ChannelMoments, fit_affine
from deepcache.caching.branches import find_cut
from deepcache.caching.layer_outputs import output_watched
from tests.beyond.tiny import BRANCH, INDICES, SAMPLER, SEED, STEPS, TinyModel

FULL = (0, 4, 9)


@pytest.fixture
def recorded(unet2d):
    """Moments, and the features that they are of, shape (T, B, C, H, W)."""
    model, moments, features = TinyModel(unet2d), ChannelMoments(BRANCH), []
    with output_watched(find_cut(unet2d, BRANCH).feeder, features.append), moments.recording(unet2d):
        model.sample(INDICES, SEED, SAMPLER)
    return moments, torch.stack(features).detach()


def corrected(reuse, features):
    """What stands in at each shallow step."""
    found = {}
    for step in range(STEPS):
        if step in FULL:
            reuse.observe(step, features[step])
        else:
            found[step] = reuse.predict(step)
    return found


def test_equals_least_squares_of_each_channel(recorded):
    moments, features = recorded
    predicted = corrected(fit_affine(moments, FULL), features)
    for step, last in ((2, 0), (11, 9)):
        for channel in range(features.shape[2]):
            x, y = (features[which, :, channel].flatten().double().numpy() for which in (last, step))
            scale, shift = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), y, rcond=None)[0]
            assert np.allclose(predicted[step][:, channel].flatten().numpy(), scale * x + shift, atol=1e-4)


def test_misses_less_than_holding(recorded):
    moments, features = recorded
    affine, held = corrected(fit_affine(moments, FULL), features), corrected(Hold(), features)
    for step in held:
        missed = [(found[step] - features[step]).square().mean() for found in (affine, held)]
        assert missed[0] < missed[1]


def test_an_affine_change_is_predicted(recorded):
    _, features = recorded
    changed = torch.stack([features[0] * (1 + 0.1 * step) - 0.2 * step for step in range(STEPS)])
    moments = ChannelMoments(BRANCH)
    moments.add(list(changed))
    assert all(
        torch.allclose(one, changed[step], atol=1e-5)
        for step, one in corrected(fit_affine(moments, FULL), changed).items()
    )


def test_a_constant_channel_is_shifted():
    moments = ChannelMoments(0)
    moments.add([torch.full((2, 1, 4, 4), float(step)) for step in range(3)])
    affine = fit_affine(moments, (0,))
    affine.observe(0, torch.zeros(1, 1, 4, 4))
    assert affine.predict(2).eq(2.0).all()


def test_no_change_is_holding_bit_for_bit(recorded):
    _, features = recorded
    channels = features.shape[2]
    affine = Affine({step: (torch.ones(channels), torch.zeros(channels)) for step in range(STEPS)})
    held = corrected(Hold(), features)
    assert all(one.equal(held[step]) for step, one in corrected(affine, features).items())


def test_mistakes_are_named(recorded):
    affine = Affine({2: (torch.ones(3), torch.zeros(3))})
    affine.observe(0, torch.zeros(1, 3, 2, 2))
    with pytest.raises(DeepCacheError, match="step 1 has no correction: run with the full steps that it was fitted"):
        affine.predict(1)
    with pytest.raises(DeepCacheError, match="step 2: scale and shift must each have one number for every channel"):
        Affine({2: (torch.ones(3), torch.zeros(4))})
    with pytest.raises(DeepCacheError, match="no trajectory was recorded"):
        ChannelMoments(0).moments()
