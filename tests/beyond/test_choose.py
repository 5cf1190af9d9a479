"""The rule that picks a plan, on a tiny U-Net with random weights."""

import numpy as np
import pytest
import torch

from deepcache import DeepCacheError, Forecast, Hold, uniform
from deepcache.beyond.caching.weighted import Weighted
from deepcache.beyond.calibration.choose import PREDICTORS, Proposal, SampledError, choose, proposals
from deepcache.beyond.calibration.gram import FeatureGram
from deepcache.beyond.calibration.importance import measure_importance
from deepcache.beyond.calibration.residuals import Predictor
from deepcache.quality.paired_fidelity import squared_errors
from tests.beyond.tiny import BRANCH, INDICES, SAMPLER, SEED, STEPS, TinyModel, sampled


@pytest.fixture
def model(unet2d):
    return TinyModel(unet2d)


@pytest.fixture
def gram(model):
    found = FeatureGram(BRANCH)
    with found.recording(model.unet):
        model.sample(INDICES, SEED, SAMPLER)
    return found.matrix()


@pytest.mark.parametrize("order", [0, 1, 2])
def test_weights_of_a_proposal_are_those_of_the_reuse_it_stands_for(model, gram, order):
    steps = uniform(STEPS, 4)
    weights = Proposal("uniform", steps, Predictor(order)).weights(gram)
    assert sorted(weights) == [step for step in range(STEPS) if step not in steps]
    expected = sampled(model, steps, Hold() if order == 0 else Forecast(order))
    found = sampled(model, steps, Weighted(weights))
    assert np.array_equal(found, expected)


def test_at_interval_one_nothing_is_predicted(gram):
    assert Proposal("uniform", uniform(STEPS, 1), Predictor(2)).weights(gram) == {}


def test_error_is_that_of_the_samples_and_is_measured_once(model, gram):
    error = SampledError(model, SAMPLER, BRANCH, gram, INDICES, SEED)
    proposal = Proposal("uniform", uniform(STEPS, 3), Predictor(1))
    images = sampled(model, proposal.full_steps, Forecast(1))
    expected = squared_errors(images, model.sample(INDICES, SEED, SAMPLER)).mean()
    before = model.trajectories
    assert error(proposal) == error(proposal) == expected > 0
    assert model.trajectories == before + 1
    assert error.measured == {proposal: expected}


def test_proposals_have_one_budget_and_hold_the_papers_methods(gram):
    importance = np.linspace(1, 2, STEPS)
    offered = list(proposals(gram, 4, eq7=[(5, 1.2), (3, 1.001)], importances=(None, importance)))
    assert {len(proposal.full_steps) for proposal in offered} == {3}
    assert offered[0] == Proposal("uniform", (0, 4, 8), Predictor(0))
    names = [proposal.name for proposal in offered]
    assert names.count("uniform") == len(PREDICTORS) and names.count("optimised") == 2 * len(PREDICTORS)
    assert names.count("eq7") in (len(PREDICTORS), 2 * len(PREDICTORS))
    with pytest.raises(DeepCacheError, match="interval must be between 1 and the number of steps"):
        list(proposals(gram, STEPS + 1))


def test_what_is_chosen_errs_least_and_no_more_than_holding(model, gram):
    error = SampledError(model, SAMPLER, BRANCH, gram, INDICES, SEED)
    offered = list(proposals(gram, 4))
    best = choose(offered, error, error)
    assert error(best) == min(error.measured.values()) <= min(error(proposal) for proposal in offered)
    crossed = [Proposal(best.name, best.full_steps, predictor) for predictor in PREDICTORS]
    assert set(error.measured) >= set(crossed) or best in offered


def test_finalists_are_compared_on_many_images_and_the_first_proposal_always():
    offered = [Proposal("uniform", (0, step), Predictor(0)) for step in range(1, 9)]
    asked = []

    def error(proposal):
        asked.append(proposal.full_steps[1])
        return {1: 2.0, 7: 1.0, 8: 3.0}[proposal.full_steps[1]]

    assert choose(offered, lambda proposal: -proposal.full_steps[1], error, finalists=2) == offered[6]
    assert asked == [1, 8, 7]
    assert choose(offered, lambda proposal: -proposal.full_steps[1], lambda proposal: 0.0) == offered[0]


def test_a_matrix_of_another_sampler_is_refused(model, gram):
    with pytest.raises(DeepCacheError, match="has 11 steps, but ddim-12-quad calls the U-Net 12 times: record it"):
        SampledError(model, SAMPLER, BRANCH, gram[1:, 1:], INDICES, SEED)


def test_importance_is_the_error_of_one_step_held(model, gram):
    found = measure_importance(model, SAMPLER, BRANCH, gram, INDICES, SEED, points=3)
    inputs = []
    handle = model.unet.register_forward_pre_hook(lambda module, arguments: inputs.append(arguments[0].clone()))
    model.sample(INDICES, SEED, SAMPLER)
    uncached = inputs[-1]
    for step in (1, 6, 10):
        sampled(model, tuple(other for other in range(STEPS) if other != step), Hold())
        residual = gram[step, step] - 2 * gram[step, step - 1] + gram[step - 1, step - 1]
        error = torch.mean((inputs[-1] - uncached).double() ** 2).item()
        assert error > 0 and found[step] == pytest.approx(error / residual, rel=1e-6)
    handle.remove()
    assert found.shape == (STEPS,) and found[0] == found[1] and found[11] == found[10]
    assert np.log(found[2]) == pytest.approx(np.log(found[1]) + (np.log(found[6]) - np.log(found[1])) / 5)


def test_importance_needs_points_and_steps(model, gram):
    with pytest.raises(DeepCacheError, match="at least 2 points"):
        measure_importance(model, SAMPLER, BRANCH, gram, INDICES, SEED, points=1)
    with pytest.raises(DeepCacheError, match="a trajectory of 3 steps"):
        measure_importance(model, SAMPLER, BRANCH, gram[:2, :2], INDICES, SEED)
