"""DeepCache on other kinds of calls and of U-Nets."""

import copy
import io
import pickle

import pytest
import torch

from deepcache import DeepCache
from tests.caching.contexts import CONTEXT, assert_cached_equals_overridden, cached, sampled
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
