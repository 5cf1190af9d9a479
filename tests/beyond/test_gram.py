"""Gram matrices of features and the residuals read off them, against direct computations."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler

from deepcache import DeepCacheError, Forecast
from deepcache.beyond.calibration.gram import FeatureGram
from deepcache.beyond.calibration.residuals import Predictor, residuals
from deepcache.caching.branches import find_cut
from deepcache.caching.layer_outputs import output_watched
from tests.caching.reference import trajectory

STEPS = 8
NODES = (0, 2, 3)


def features(unet, branch: int, scheduler, **options) -> list[torch.Tensor]:
    """The branch's feature at each call of the U-Net."""
    found = []
    with output_watched(find_cut(unet, branch).feeder, found.append):
        trajectory(unet, scheduler, STEPS, **options)
    return found


@pytest.fixture
def recorded(unet2d):
    """The Gram matrix of two trajectories of two and three images, and their features, float64, shape (5, T, CHW)."""
    gram, images = FeatureGram(branch=2), []
    for seed, batch in ((0, 2), (1, 3)):
        with gram.recording(unet2d):
            trajectory(unet2d, DDIMScheduler(), STEPS, seed=seed, batch=batch)
        images.append(torch.stack(features(unet2d, 2, DDIMScheduler(), seed=seed, batch=batch)).flatten(2).double())
    return gram.matrix(), torch.cat(images, dim=1).transpose(0, 1).numpy()


def test_matrix_is_the_direct_computation(recorded):
    gram, direct = recorded
    assert direct.shape[:2] == (5, STEPS) and gram.shape == (STEPS, STEPS) and gram.dtype == np.float64
    expected = np.einsum("ise,ite->st", direct, direct) / (5 * direct.shape[2])
    assert np.abs(gram - expected).max() < 1e-12 * expected.max()


def test_both_halves_of_guidance_and_every_call_of_plms_count(unet2d_condition):
    gram, scheduler = FeatureGram(branch=1), PNDMScheduler(skip_prk_steps=True)
    context = torch.randn(4, 3, 16, generator=torch.Generator().manual_seed(1))  # two images, each without and with
    options = {"batch": 4, "call": lambda unet, x, t: unet(x, t, encoder_hidden_states=context).sample}
    with gram.recording(unet2d_condition):
        trajectory(unet2d_condition, scheduler, STEPS, **options)
    direct = torch.stack(features(unet2d_condition, 1, scheduler, **options)).flatten(1).double()
    assert gram.matrix().shape == (STEPS + 1, STEPS + 1)
    assert np.allclose(gram.matrix(), (direct @ direct.T / direct.shape[1]).numpy(), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "predictor", [Predictor(0), Predictor(1), Predictor(2), Predictor(1, True), Predictor(2, True)]
)
def test_residual_from_the_matrix_is_the_direct_one(recorded, predictor):
    gram, direct = recorded
    nodes, steps = NODES[-(predictor.order + 1) :], np.arange(4, STEPS)
    weights = predictor.weights(gram, nodes, steps)
    errors = np.einsum("sn,ine->ise", weights, direct[:, list(nodes)]) - direct[:, steps]
    expected = (errors**2).mean(axis=(0, 2))
    scale = gram.diagonal().max()
    assert np.abs(residuals(gram, nodes, steps, weights) - expected).max() < 1e-9 * scale
    assert expected.min() > 1e-6 * scale, "there is something to predict"


@pytest.mark.parametrize("order", [1, 2])
def test_polynomial_weights_are_those_of_the_forecast(recorded, order):
    nodes = NODES[-(order + 1) :]
    forecast = Forecast(order)
    for node in nodes:
        forecast.observe(node, torch.zeros(1))
    weights = Predictor(order).weights(recorded[0], nodes, [4, 7])
    assert np.allclose(weights, [forecast.weights(4), forecast.weights(7)], rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_fitted_weights_are_the_least_squares_solution_and_sum_to_one(recorded, order):
    gram, direct = recorded
    nodes, steps = NODES[-(order + 1) :], [5, 6]
    weights = Predictor(order, fitted=True, ridge=0).weights(gram, nodes, steps)
    last = direct[:, nodes[-1]].ravel()
    columns = np.stack([direct[:, node].ravel() - last for node in nodes[:-1]], axis=1)
    for step, found in zip(steps, weights, strict=True):
        expected = np.linalg.lstsq(columns, direct[:, step].ravel() - last, rcond=None)[0]
        assert np.allclose(found[:-1], expected, rtol=1e-6, atol=1e-8)
    assert np.allclose(weights.sum(1), 1)
    least = residuals(gram, nodes, steps, weights)
    assert (least < residuals(gram, nodes, steps, Predictor(order).weights(gram, nodes, steps))).all()
    held = Predictor(order, fitted=True, ridge=1e12).weights(gram, nodes, steps)
    assert np.allclose(held, [*[0] * order, 1], atol=1e-9), "a strong ridge holds"


def test_mistakes_are_named_and_nothing_is_left_behind(unet2d):
    gram = FeatureGram(branch=2)
    with pytest.raises(DeepCacheError, match="no trajectory was recorded"):
        gram.matrix()
    with pytest.raises(DeepCacheError, match="the U-Net did not run"), gram.recording(unet2d):
        pass
    with pytest.raises(DeepCacheError, match="branch must be an integer from 0 to 11"):
        FeatureGram(branch=12).recording(unet2d).__enter__()
    with pytest.raises(DeepCacheError, match="keep its batch size and resolution"), gram.recording(unet2d):
        for batch in (1, 2):
            trajectory(unet2d, DDIMScheduler(), 2, batch=batch)
    with gram.recording(unet2d):
        trajectory(unet2d, DDIMScheduler(), 3)
    with pytest.raises(DeepCacheError, match="of 2 steps was recorded, but one of 3 before"), gram.recording(unet2d):
        trajectory(unet2d, DDIMScheduler(), 2)
    assert gram.matrix().shape == (3, 3)
    assert not any(module._forward_hooks for module in unet2d.modules())


@pytest.mark.parametrize(("order", "ridge"), [(-1, 0), (1.5, 0), (True, 0), (1, -1e-9), (1, float("nan"))])
def test_a_predictor_out_of_range_is_refused(order, ridge):
    with pytest.raises(DeepCacheError, match=r"order of a prediction must|ridge must be a number"):
        Predictor(order, fitted=True, ridge=ridge)
