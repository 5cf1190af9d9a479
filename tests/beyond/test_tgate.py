"""T-GATE, against what its paper says of cross-attention and guidance."""

import pytest
import torch
from diffusers import PNDMScheduler

from deepcache import DeepCacheError
from deepcache.beyond.caching.tgate import TGate, cross_attention
from tests.caching.test_engine import fingerprint

STEPS, GATE, SCALE = 6, 2, 3.0


@torch.no_grad()
def guided(unet, contexts, tgate=None):
    """A trajectory with guidance; both halves in one batch."""
    scheduler = PNDMScheduler(skip_prk_steps=True)
    scheduler.set_timesteps(STEPS)
    x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    for t in scheduler.timesteps:
        empty, full = unet(torch.cat([x, x]), t, encoder_hidden_states=contexts).sample.chunk(2)
        x = scheduler.step(empty + SCALE * (full - empty), t, x).prev_sample
    return x


@torch.no_grad()
def by_hand(unet, contexts):
    """After the gate step: one half, its cross-attention as the mean of both halves was at the gate step."""
    scheduler = PNDMScheduler(skip_prk_steps=True)
    scheduler.set_timesteps(STEPS)
    x = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    kept, gated = {}, False

    def hook(layer, args, output):
        if gated:
            return kept[layer]
        empty, full = output.chunk(2)
        kept[layer] = (empty + full) / 2
        return None

    handles = [layer.register_forward_hook(hook) for layer in cross_attention(unet)]
    for step, t in enumerate(scheduler.timesteps):
        gated = step >= GATE
        if gated:
            noise = unet(x, t, encoder_hidden_states=contexts[:2]).sample
        else:
            empty, full = unet(torch.cat([x, x]), t, encoder_hidden_states=contexts).sample.chunk(2)
            noise = empty + SCALE * (full - empty)
        x = scheduler.step(noise, t, x).prev_sample
    for handle in handles:
        handle.remove()
    return x


@pytest.fixture
def contexts():
    return torch.randn(4, 5, 16, generator=torch.Generator().manual_seed(7))


def test_is_what_its_paper_says(unet2d_condition, contexts):
    unet, before, uncached = unet2d_condition, fingerprint(unet2d_condition), guided(unet2d_condition, contexts)
    batches, runs = [], []
    hooks = [unet.conv_in.register_forward_hook(lambda module, args, output: batches.append(len(output)))]
    hooks += [layer.to_q.register_forward_hook(lambda *_: runs.append(1)) for layer in cross_attention(unet)]
    with TGate(unet, GATE, guided=True) as gate:
        found = guided(unet, contexts)
        gate.start_trajectory()
        assert guided(unet, contexts).equal(found)
    calls = STEPS + 1
    assert batches == 2 * ([4] * GATE + [2] * (calls - GATE)), "guidance ends"
    assert len(runs) == 2 * GATE * len(cross_attention(unet)), "cross-attention is left out"
    for hook in hooks:
        hook.remove()
    assert found.allclose(by_hand(unet, contexts), atol=1e-5)
    assert not found.allclose(uncached, atol=1e-2)
    assert guided(unet, contexts).equal(uncached) and fingerprint(unet) == before


def test_a_gate_at_the_end_changes_nothing(unet2d_condition, contexts):
    uncached = guided(unet2d_condition, contexts)
    with TGate(unet2d_condition, STEPS + 1, guided=True):
        assert guided(unet2d_condition, contexts).equal(uncached)


def test_tuples_are_served_to_both_halves(unet2d_condition, contexts):
    x = torch.randn(2, 4, 16, 16).repeat(2, 1, 1, 1)
    with TGate(unet2d_condition, 1, guided=True), torch.no_grad():
        unet2d_condition(x, 9, contexts)
        (output,) = unet2d_condition(x, 8, contexts, return_dict=False)
    assert output.shape == x.shape and output[:2].equal(output[2:])


@pytest.mark.parametrize(
    ("fixture", "gate", "message"),
    [
        ("unet2d", 1, "T-GATE leaves out cross-attention, and this UNet2DModel has none"),
        ("unet2d_condition", 0, "the gate step must be at least 1, not 0"),
    ],
)
def test_what_cannot_be_is_refused(fixture, gate, message, request):
    with pytest.raises(DeepCacheError, match=message):
        TGate(request.getfixturevalue(fixture), gate, guided=True)
