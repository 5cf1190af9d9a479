"""DeepCache on other kinds of calls and of U-Nets."""

import copy
import io
import pickle

import pytest
import torch
from diffusers import (
    UNetSpatioTemporalConditionModel,
)

from deepcache import DeepCache, num_branches
from tests.caching import reference
from tests.caching.contexts import CONTEXT, assert_cached_equals_overridden, cached, sampled
from tests.caching.reference import overridden
from tests.conftest import make_unet2d_condition


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("branch", [0, 3])
def test_other_precisions(unet2d_condition, dtype, branch):
    unet2d_condition.to(dtype)

    def in_precision(unet, x, t):
        output = unet(x.to(dtype), t, encoder_hidden_states=CONTEXT.to(dtype)).sample
        assert output.dtype == dtype
        return output.float()

    with DeepCache(unet2d_condition, 3, branch) as cache:
        unet2d_condition(torch.zeros(1, 4, 16, 16, dtype=dtype), 1, CONTEXT[:1].to(dtype))
        assert all(tensor.dtype == dtype for tensor in cache.reuse.held)
    assert_cached_equals_overridden(unet2d_condition, branch, in_precision)


def test_output_as_a_tuple(unet2d_condition):
    def as_tuple(unet, x, t):
        output = unet(x, t, encoder_hidden_states=CONTEXT, return_dict=False)
        assert isinstance(output, tuple)
        return output[0]

    assert torch.equal(assert_cached_equals_overridden(unet2d_condition, call=as_tuple), cached(unet2d_condition))


def test_arguments_by_name(unet2d_condition):
    def by_name(unet, x, t):
        return unet(sample=x, timestep=t, encoder_hidden_states=CONTEXT).sample

    assert torch.equal(assert_cached_equals_overridden(unet2d_condition, call=by_name), cached(unet2d_condition))


def test_inference_mode(unet2d_condition):
    expected = cached(unet2d_condition)
    with torch.inference_mode():
        assert torch.equal(cached(unet2d_condition), expected)


def test_unet_can_be_copied_and_pickled_after_disabling(unet2d_condition):
    expected = cached(unet2d_condition)
    buffer = io.BytesIO()
    torch.save(unet2d_condition, buffer)
    buffer.seek(0)
    copies = {
        "deepcopy": copy.deepcopy(unet2d_condition),
        "pickle": pickle.loads(pickle.dumps(unet2d_condition)),
        "torch.save": torch.load(buffer, weights_only=False),
    }
    with torch.no_grad():
        unet2d_condition.conv_in.weight.zero_()  # the copies do not run the original
    for name, twin in copies.items():
        assert torch.equal(cached(twin), expected), name


def test_weights_moved_while_enabled_are_used(unet2d_condition):
    expected = cached(make_unet2d_condition().double(), call=in_double)
    with DeepCache(unet2d_condition, 3, 2):
        unet2d_condition.double()
        assert torch.equal(sampled(unet2d_condition, in_double), expected)


def in_double(unet, x, t):
    """One call in double precision."""
    return unet(x.double(), t, encoder_hidden_states=CONTEXT.double()).sample


@pytest.mark.parametrize(
    ("branch", "feeder"),
    [
        (0, "up_blocks.1.attentions.1"),
        (2, "up_blocks.0"),
        (4, "up_blocks.0.resnets.0"),
        (5, "mid_block"),
    ],
)
def test_video_unet(monkeypatch, branch, feeder):
    torch.manual_seed(0)
    unet = UNetSpatioTemporalConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32, 32),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=24,
        cross_attention_dim=16,
        num_attention_heads=2,
        num_frames=3,
    ).eval()
    assert num_branches(unet) == 6
    monkeypatch.setitem(reference.FEEDERS, type(unet).__name__, {branch: feeder})
    start = torch.randn(1, 3, 4, 8, 8, generator=torch.Generator().manual_seed(2))

    @torch.no_grad()
    def video():
        x = start
        for t in range(50, 0, -10):
            x = x - 0.2 * unet(x, t, CONTEXT[:1, :1], added_time_ids=torch.tensor([[6.0, 127.0, 0.02]])).sample
        return x

    with DeepCache(unet, 2, branch) as cache:
        ours = video()
        assert cache.full_steps == (0, 2, 4)
    with overridden(unet, branch, (0, 2, 4)):
        assert torch.equal(ours, video())
    assert not torch.equal(ours, video())
