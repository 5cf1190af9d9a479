"""Caching behind the last layer: at shallow steps nothing of the U-Net runs."""

import copy

import pytest
import torch
from diffusers import DDIMScheduler, PNDMScheduler

from deepcache import DeepCache, DeepCacheError, Forecast
from deepcache.caching.branches import find_feeder
from deepcache.caching.execution import Execution
from deepcache.caching.weighted import Weighted
from tests.caching.reference import trajectory
from tests.caching.test_engine import KINDS, fingerprint

STEPS, FULL = 9, (0, 2, 5)


def by_hand(call, combine):
    """A call of the U-Net that runs at full steps alone; `combine` makes the others' output of theirs."""
    outputs, steps = {}, iter(range(STEPS + 1))

    def output(unet, x, t):
        step = next(steps)
        if step in FULL:
            outputs[step] = call(unet, x, t)
            return outputs[step]
        return combine(outputs, step)

    return output


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheduler", [DDIMScheduler, PNDMScheduler])
def test_holds_the_output_and_runs_no_layer(kind, scheduler):
    make, call = KINDS[kind]
    unet, options = make(), {"skip_prk_steps": True} if scheduler is PNDMScheduler else {}
    before, runs = fingerprint(unet), []
    expected = trajectory(unet, scheduler(**options), STEPS, by_hand(call, lambda outputs, _: outputs[max(outputs)]))
    handle = unet.conv_in.register_forward_hook(lambda *_: runs.append(1))
    with DeepCache(unet, schedule=FULL, branch="output") as cache:
        cache.start_trajectory()
        found = trajectory(unet, scheduler(**options), STEPS, call)
        assert cache.full_steps == FULL and len(runs) == len(FULL)
        assert cache.bytes_cached == found.nbytes
    handle.remove()
    assert torch.equal(found, expected)
    assert fingerprint(unet) == before


def test_every_way_to_fill_in_works_there():
    make, call = KINDS["UNet2DModel"]
    unet = make()

    def line(outputs, step):
        first, last = sorted(outputs)[-2:] if len(outputs) > 1 else (0, 0)
        return outputs[last] + (outputs[last] - outputs[first]) * ((step - last) / (last - first) if last else 0)

    expected = trajectory(unet, DDIMScheduler(), STEPS, by_hand(call, line))
    with DeepCache(unet, schedule=FULL, branch="output", reuse=Forecast(order=1)):
        assert trajectory(unet, DDIMScheduler(), STEPS, call).allclose(expected, atol=1e-6)
    weights = {1: {0: 1.0}} | {step: {0: -0.5, 2: 1.5} for step in (3, 4)} | {s: {2: 0.5, 5: 0.5} for s in (6, 7, 8)}
    mixed = by_hand(call, lambda outputs, step: sum(w * outputs[node] for node, w in weights[step].items()))
    expected = trajectory(unet, DDIMScheduler(), STEPS, mixed)
    with DeepCache(unet, schedule=FULL, branch="output", reuse=Weighted(weights)):
        assert trajectory(unet, DDIMScheduler(), STEPS, call).allclose(expected, atol=1e-6)


@pytest.mark.parametrize("return_dict", [True, False])
def test_what_a_caller_writes_into_its_output_changes_no_later_one(return_dict, unet2d):
    x, outputs = torch.randn(2, 1, 16, 16), []
    with DeepCache(unet2d, 3, "output") as cache:
        cache.start_trajectory()
        for step in range(3):
            cache.next_step()
            output = unet2d(x, 9 - step, return_dict=return_dict)
            assert isinstance(output, tuple) == (not return_dict)
            outputs.append(output[0].clone())
            output[0].zero_()
    assert torch.equal(outputs[0], outputs[1]) and torch.equal(outputs[0], outputs[2]) and outputs[0].any()


def test_another_word_is_refused(unet2d):
    with pytest.raises(DeepCacheError, match="branch must be an integer from 0 to"):
        DeepCache(unet2d, 3, "outputs")


@pytest.mark.parametrize("how", ["in eager mode", "replayed"])
def test_what_is_changed_between_two_trajectories_is_used(how, unet2d, monkeypatch):
    x, recordings = torch.randn(2, 1, 16, 16), []

    def record(run):
        recordings.append(run())
        return recordings[-1], run

    monkeypatch.setattr(Execution, "on", lambda self, unet: self)
    options = {} if how == "in eager mode" else {"graph": record}
    cache = DeepCache(unet2d, 2, "output")
    cache._execution = Execution(**options)
    with cache, torch.no_grad():
        for _ in range(2):
            cache.start_trajectory()
            unet2d(x, 9), unet2d(x, 8), unet2d(x, 7)
        conv = unet2d.down_blocks[0].resnets[0].conv1
        unet2d.down_blocks[0].resnets[0].conv1 = torch.nn.Conv2d(conv.in_channels, conv.out_channels, 3, padding=1)
        cache.start_trajectory()
        found = [unet2d(x, 9 - step).sample for step in range(3)]
        assert len(recordings) == (0 if how == "in eager mode" else 2), "of the old layers, and of the new one"
    with torch.no_grad():
        assert torch.equal(found[0], unet2d(x, 9).sample) and torch.equal(found[1], found[0])


def test_each_call_has_the_kind_of_output_that_it_asks_for(unet2d):
    x, y = torch.randn(1, 1, 16, 16), torch.randn(2, 1, 16, 16)
    with DeepCache(unet2d, 2, "output") as cache, torch.no_grad():
        cache.start_trajectory()
        for step in range(2):
            cache.next_step()
            assert not isinstance(unet2d(x, 9 - step), tuple)
            assert isinstance(unet2d(y, 9 - step, None, False), tuple)
        cache.start_trajectory()
        with DeepCache(unet2d_copy := copy.deepcopy(unet2d), 2, "output") as other:
            other.start_trajectory()
            other.next_step()
            unet2d_copy(x, 9, return_dict=False)
            other.next_step()
            with pytest.raises(DeepCacheError, match="all full steps were called with return_dict=False"):
                unet2d_copy(x, 8)


@pytest.mark.parametrize("kind", [list, tuple])
def test_other_outputs_are_refused(unet2d, monkeypatch, kind):
    monkeypatch.setattr(type(unet2d), "forward", lambda self, sample, timestep: kind([sample]))
    with (
        DeepCache(unet2d, 2, "output"),
        pytest.raises(DeepCacheError, match=f"returns a {kind.__name__}: its output can"),
    ):
        unet2d(torch.randn(1, 1, 16, 16), 9)


def test_nothing_is_kept_where_every_step_is_full(unet2d):
    with DeepCache(unet2d, 1, "output") as cache, torch.no_grad():
        unet2d(torch.randn(1, 1, 16, 16), 9)
        assert cache.bytes_cached == 0


def test_an_output_that_is_scaled_after_the_last_layer_is_not_recorded(unet2d):
    unet2d.register_to_config(time_embedding_type="fourier")
    with pytest.raises(DeepCacheError, match="does not end with conv_out: its output cannot be recorded"):
        find_feeder(unet2d, "output")
