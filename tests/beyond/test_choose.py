"""The rule that picks a plan, on a tiny U-Net with random weights."""

import numpy as np
import pytest

from deepcache import DeepCache, DeepCacheError, Forecast, Hold, uniform
from deepcache.beyond.calibration.choose import ORDERS, TRUSTS, Proposal, SampledError, choose, proposals
from deepcache.beyond.calibration.joint import joint_weights
from deepcache.caching.weighted import Weighted
from deepcache.quality.paired_fidelity import squared_errors
from deepcache.sampling.unrounded import sample_pixels
from tests.beyond.made_rows import made_rows
from tests.beyond.tiny import BRANCH, INDICES, SAMPLER, SEED, STEPS, TinyModel, sampled


@pytest.fixture
def model(unet2d):
    return TinyModel(unet2d)


@pytest.fixture
def rows():
    return made_rows(STEPS)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_weights_of_a_proposal_are_those_of_the_reuse_it_stands_for(model, order):
    proposal = Proposal.polynomial("uniform", uniform(STEPS, 4), STEPS, order)
    expected = sampled(model, proposal.full_steps, Hold() if order == 0 else Forecast(order))
    assert np.array_equal(sampled(model, proposal.full_steps, Weighted(proposal.weights)), expected)


def test_error_is_the_mean_logarithm_over_images_and_is_measured_once(model):
    error = SampledError(model, SAMPLER, BRANCH, INDICES, SEED)
    proposal = Proposal.polynomial("uniform", uniform(STEPS, 3), STEPS, 1)
    before = model.trajectories
    assert error(proposal) == error(proposal)
    assert model.trajectories == before + 1 and list(error.measured) == [proposal]
    uncached = sample_pixels(model, INDICES, SEED, SAMPLER)
    with DeepCache(model.unet, schedule=proposal.full_steps, branch=BRANCH, reuse=Forecast(1)) as cache:
        cache.start_trajectory()
        found = sample_pixels(model, INDICES, SEED, SAMPLER)
    assert not np.array_equal(found, found.round()), "before rounding"
    assert error(proposal) == pytest.approx(np.log(squared_errors(found, uncached)).mean())


def test_proposals_have_one_budget_and_hold_the_papers_methods(rows):
    offered = list(proposals(rows, 4, eq7=[(5, 1.2), (3, 1.001)]))
    assert {len(proposal.full_steps) for proposal in offered} == {3}
    first = offered[0]
    assert (first.steps, first.prediction, first.full_steps) == ("uniform", "hold", (0, 4, 8))
    found = {(proposal.steps, proposal.prediction) for proposal in offered}
    assert {("eq7", "hold"), ("additive", "hold"), ("uniform", "forecast1"), ("additive", "forecast1")} < found
    searched = [proposal for proposal in offered if proposal.steps == "searched"]
    assert searched and len({proposal.full_steps for proposal in searched}) == len(searched)
    for proposal in searched:
        order = int(proposal.prediction.removeprefix("joint"))
        assert proposal.weights == joint_weights(rows, proposal.full_steps, order, proposal.trust)
    with pytest.raises(DeepCacheError, match="interval must be between 1 and the number of steps"):
        list(proposals(rows, STEPS + 1))


def test_where_every_step_is_full_there_is_nothing_to_search(rows):
    offered = list(proposals(rows, 1))
    assert {proposal.full_steps for proposal in offered} == {tuple(range(STEPS))}
    assert choose(offered, rows, lambda proposal: 0.0, lambda proposal: 0.0) is offered[0]


def polynomial(*full: int) -> Proposal:
    return Proposal.polynomial("eq7", full, STEPS, 0)


def test_of_the_best_steps_all_orders_and_trusts_are_tried(rows):
    offered, asked = [polynomial(0, step) for step in (3, 5, 7, 8)], []

    def screen(proposal):
        asked.append(proposal)
        return -proposal.full_steps[1]

    best = choose(offered, rows, screen, lambda proposal: (proposal.prediction != "joint2", proposal.trust or 0), 40)
    crossed = [(proposal.full_steps, proposal.prediction, proposal.trust) for proposal in asked if proposal.trust]
    assert set(crossed) == {
        ((0, step), f"joint{order}", trust) for step in (7, 8) for order in ORDERS for trust in TRUSTS
    }
    assert (best.prediction, best.trust) == ("joint2", TRUSTS[0])
    assert best.weights == joint_weights(rows, best.full_steps, 2, TRUSTS[0])


def test_finalists_are_compared_on_many_images_and_the_first_proposal_always(rows):
    offered, asked = [polynomial(0, step) for step in range(1, 9)], []

    def error(proposal):
        asked.append(proposal.full_steps[1])
        return {1: 2.0, 7: 1.0, 8: 3.0}[proposal.full_steps[1]]

    def screen(proposal):
        return -proposal.full_steps[1] if proposal.trust is None else 0.0

    assert choose(offered, rows, screen, error, finalists=2) is offered[6]
    assert asked == [1, 8, 7]
    assert choose(offered, rows, screen, lambda proposal: 0.0) is offered[0], "of equal ones the first"
