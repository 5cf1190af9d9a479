"""Costs: sums of steps, found again from the times of whole trajectories; budgets that can be reached or not."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcache import DeepCacheError
from deepcache.beyond.tuning import costs as module
from deepcache.beyond.tuning.budget import Budget
from deepcache.beyond.tuning.candidate import affordable, lengths, polynomial, spread
from deepcache.beyond.tuning.costs import LONG, SHORT, Costs, count_costs, measure_costs
from deepcache.caching.branches import OUTPUT
from deepcache.caching.execution import Execution
from deepcache.cost.timing import Timing
from deepcache.sampler import Sampler
from tests.beyond.tiny import TinyModel

CALLS = LONG + 1  # DDIM of these models takes every 83rd timestep of 1000
COSTS = Costs(0.5, 1.0, {0: 0.2, 1: 0.4})


def test_costs_are_sums_of_steps():
    assert COSTS.of(10, 4, 1) == pytest.approx(0.5 + 4 + 6 * 0.4)


@given(st.floats(0.1, 60), st.integers(1, 50), st.sampled_from([0, 1]))
def test_as_many_steps_are_full_as_the_budget_allows(budget, steps, branch):
    full = COSTS.full_steps(budget, steps, branch)
    assert full <= steps
    if full >= 0:
        assert COSTS.of(steps, full, branch) <= budget + 1e-6
    if 0 <= full < steps:
        assert COSTS.of(steps, full + 1, branch) > budget - 1e-6


@given(st.integers(1, 60), st.data())
def test_full_steps_are_spread_evenly(steps, data):
    full = data.draw(st.integers(1, steps))
    found = spread(steps, full)
    gaps = [after - before for before, after in zip(found, [*found[1:], steps], strict=True)]
    assert found[0] == 0 and len(set(found)) == full
    assert max(gaps) - min(gaps) <= 1


def test_what_is_tried_fits_the_budget_and_takes_more_steps_than_can_all_be_full():
    tried = {}
    for steps in lengths(COSTS, 12.5, 50, lambda steps: steps):
        for branch, full in affordable(COSTS, 12.5, Sampler("ddim", steps), steps, [0, 1]):
            one = polynomial(Sampler("ddim", steps), steps, branch, full, 1, COSTS)
            assert one.cost <= 12.5 and len(one.full_steps) == full
            tried.setdefault(steps, []).append((branch, full))
    assert min(tried) == 12 and tried[12] == [(0, 12)], "without caching, once"
    assert (max(tried) > 24 and (0, 9) in tried[max(tried)]) or len(tried) > 4


def test_costs_are_found_from_whole_trajectories(unet2d, monkeypatch):
    def measured(variants, repeats, device, on_run):
        seconds = {"short": COSTS.of(SHORT, SHORT, 0), "long": COSTS.of(CALLS, CALLS, 0)}
        seconds |= {f"branch {branch}": COSTS.of(CALLS, 1, branch) for branch in (0, 1)}
        assert set(seconds) == set(variants)
        for run in variants.values():
            run()
        return {name: Timing((value,)) for name, value in seconds.items()}

    monkeypatch.setattr(module, "measure", measured)
    found = measure_costs(TinyModel(unet2d), Sampler("ddim", 30), (0, 1), 2, torch.device("cpu"), Execution())
    assert found.fixed == pytest.approx(COSTS.fixed) and found.full == pytest.approx(COSTS.full)
    assert found.shallow == pytest.approx(COSTS.shallow)


def test_trajectories_run_as_they_say(unet2d, monkeypatch):
    middle, counts = [], {}
    unet2d.mid_block.register_forward_hook(lambda *_: middle.append(1))

    def measured(variants, repeats, device, on_run):
        for name, run in variants.items():
            middle.clear()
            run()
            counts[name] = len(middle)
        return {name: Timing((float(len(middle) + place),)) for place, name in enumerate(variants)}

    monkeypatch.setattr(module, "measure", measured)
    measure_costs(TinyModel(unet2d), Sampler("ddim", 30), (2, OUTPUT), 1, torch.device("cpu"), Execution())
    assert counts == {"short": SHORT, "long": CALLS, "branch 2": 1, "branch output": 1}


def test_macs_of_an_image_count_both_halves_of_a_guided_batch(unet2d):
    plain = count_costs(TinyModel(unet2d), Sampler("ddim", 10), [0, 3, OUTPUT])
    guided = count_costs(TinyModel(unet2d), Sampler("ddim", 10, guidance_scale=2.0), [0, 3])
    assert plain.fixed == 0 and 0 < plain.shallow[0] < plain.shallow[3] < plain.full
    assert guided.full == pytest.approx(2 * plain.full)
    assert plain.shallow[OUTPUT] == 0 and OUTPUT not in guided.shallow
    assert Costs.parse(json.loads(json.dumps(vars(plain)))) == plain


def test_macs_are_of_the_size_that_is_painted(unet2d):
    model = TinyModel(unet2d)
    usual = count_costs(model, Sampler("ddim", 10), [0])
    model.latent_size = 32, 16
    larger = count_costs(model, Sampler("ddim", 10), [0])
    assert larger.full == pytest.approx(2 * usual.full, rel=0.01), "but for the timestep's layers"
    assert larger.shallow[0] == pytest.approx(2 * usual.shallow[0], rel=0.01)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give one of speedup, seconds and macs, not none"),
        ({"speedup": 2.0, "macs": 1.0}, "give one of speedup, seconds and macs, not speedup and macs"),
        ({"speedup": 1.0}, "speedup must be above 1, not 1.0: at 1 nothing is to be gained"),
        ({"seconds": -1.0}, "seconds must be a number above 0, not -1.0"),
        ({"macs": float("nan")}, "macs must be a number above 0, not nan"),
    ],
)
def test_budgets_that_say_nothing_are_refused(values, message):
    with pytest.raises(DeepCacheError, match=message):
        Budget(**values)


def test_limits_are_in_the_unit_of_the_costs():
    assert Budget(speedup=2).limit(COSTS, 50, 4) == pytest.approx(50.5 / 2)
    assert Budget(seconds=3).limit(COSTS, 50, 4) == 12
    assert Budget(macs=3).limit(COSTS, 50, 4) == 3


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(speedup=40), "speed-up 40 cannot be reached: at most 17, with 4 steps, 2 of them full: branch 0"),
        (Budget(seconds=0.5), "0.5 s an image cannot be reached: at least 1.45, with 4 steps"),
        (Budget(macs=1), "1 G MACs an image cannot be reached: at least 2.9, with 4 steps"),
    ],
)
def test_what_cannot_be_reached_is_refused_with_what_can(budget, message):
    with pytest.raises(DeepCacheError, match=message):
        budget.limit(COSTS, 50, 2)
