"""What methods make of a time, and what their steps cost."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepcache import count_ops_and_params
from deepcache.beyond.caching.tgate import cross_attention
from deepcache.beyond.equal_time.known import Known, latents_of, macs_of_steps
from deepcache.beyond.equal_time.methods import METHODS
from deepcache.beyond.equal_time.timing import GATED, speeds, time_steps, times, uncached
from deepcache.beyond.tuning.costs import Costs
from deepcache.caching.branches import OUTPUT
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.sampler import Sampler
from tests.beyond.equal_time.conftest import COSTS
from tests.beyond.tiny import TinyModel

USUAL = Sampler("ddim", 20)


@pytest.fixture
def known(tiny):
    inputs = latents_of(tiny, USUAL, range(2), 0)
    assert len(inputs) == 20
    costs = Costs(1.0, 1.0, {**COSTS.shallow, GATED: 0.4})
    return Known(tiny, USUAL, costs, 10.0, {**costs.shallow, OUTPUT: 0.0}, {0.25: 1.1, 0.5: 1.3, 0.75: 1.2}, inputs)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.floats(1, 25))
def test_settings_fit_into_the_time(known, limit):
    for name, method in METHODS.items():
        found = list(method.settings(known, limit))
        if name != "token_merging":
            for one in found:
                assert one.full + 1 <= limit + 1e-6, (name, one.words)
        assert bool(found) == (method.least(known) <= limit), name
        assert len({one.digest for one in found}) == len(found), (name, limit)


def test_of_the_ratios_that_are_fast_enough_the_least(known):
    (one,) = METHODS["token_merging"].settings(known, known.usual_cost / 1.15)
    assert one.words == "ratio 0.5"
    assert METHODS["token_merging"].least(known) == pytest.approx(known.usual_cost / 1.3)


def test_each_runs_as_often_as_it_says(known):
    """As many passes of the whole U-Net as its MACs make up."""
    middle = []
    known.model.unet.mid_block.register_forward_hook(lambda *_: middle.append(1))
    for name in ("fewer_steps", "hold", "forecast", "whole_output_hold", "whole_output_forecast"):
        for one in METHODS[name].settings(known, 11.5):
            middle.clear()
            with one.applied(known.model.unet) as applied:
                getattr(applied, "start_trajectory", lambda: None)()
                known.model.make_latents(range(1), 0, one.sampler)
            shallow = [share for place, share in known.shares.items() if f"branch {place}," in one.words]
            share = shallow[0] if shallow else known.shares[OUTPUT] if "fewer" not in name else 0
            calls = known.model.num_steps(one.sampler)
            assert one.full == pytest.approx(len(middle) + (calls - len(middle)) * share), one.words


def test_macs_after_the_gate(unet2d_condition):
    model = TinyModel(unet2d_condition)
    model.context_tokens = 5
    full, shares = macs_of_steps(model, Sampler("ddim", 10), [0, 2])
    inputs = dummy_inputs(unet2d_condition, 1, None, "cpu", tokens=5)
    assert full * 1e9 == pytest.approx(count_ops_and_params(unet2d_condition, inputs)[0])
    assert shares[OUTPUT] == 0 < shares[0] < shares[2] < 1
    for layer in cross_attention(unet2d_condition):
        layer.forward = lambda hidden, *_, **__: hidden
    without = count_ops_and_params(unet2d_condition, inputs)[0]
    assert shares[GATED] == pytest.approx(without / full / 1e9)
    guided = macs_of_steps(TinyModel(unet2d_condition), Sampler("ddim", 10, guidance_scale=2.0), [0])[1]
    assert guided[GATED] < 0.5


def test_times_are_of_whole_trajectories_on_networks_of_their_own(tiny):
    settings = {"usual": uncached(USUAL, 20), "less": uncached(Sampler("ddim", 5), 5)}
    found = times(tiny, settings, 2, torch.device("cpu"), 2)
    assert set(found) == {"usual", "less"} and all(len(one.seconds) == 2 for one in found.values())
    assert found["less"].median < found["usual"].median
    costs = time_steps(tiny, USUAL, [0, OUTPUT], 1, torch.device("cpu"), 1)
    assert set(costs.shallow) == {0, OUTPUT} and costs.shallow[OUTPUT] < costs.full
    assert speeds(tiny, {}, 1, torch.device("cpu"), 1) == {}
