"""The feature is copied where the U-Net writes into it, and nowhere else."""

import pytest
import torch

from deepcache import DeepCache, DeepCacheError, Forecast
from tests.caching.contexts import CONTEXT, sampled

X = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))


def steps(unet, count=7):
    """So many calls of the U-Net."""
    with torch.no_grad():
        return [unet(X, 900 - step, CONTEXT).sample for step in range(count)]


def places(unet, feeder="up_blocks.2"):
    """Where the feeder's outputs lie, call by call."""
    found = []
    unet.get_submodule(feeder).register_forward_hook(lambda module, args, output: found.append(output))
    return found


@pytest.mark.parametrize("branch", [1, 2, 5])
def test_the_feature_itself_is_kept_from_the_second_full_step_on(unet2d_condition, branch):
    found = places(unet2d_condition, ("", "up_blocks.3.attentions.0", "up_blocks.2", "", "", "up_blocks.1")[branch])
    with DeepCache(unet2d_condition, 3, branch) as cache:
        steps(unet2d_condition, 2)
        output = found[-1][0] if isinstance(found[-1], tuple) else found[-1]
        assert cache.reuse.held[0].data_ptr() != output.data_ptr()
        steps(unet2d_condition, 2)
        output = found[-1][0] if isinstance(found[-1], tuple) else found[-1]
        assert cache.reuse.held[0].data_ptr() == output.data_ptr()


def test_it_stays_a_copy_where_freeu_writes_into_it(unet2d_condition):
    unet2d_condition.enable_freeu(s1=0.6, s2=0.4, b1=1.4, b2=1.6)
    found = places(unet2d_condition, "up_blocks.0")
    with DeepCache(unet2d_condition, 3, 8) as cache:
        steps(unet2d_condition, 5)
        assert cache.reuse.held[0].data_ptr() != found[-1].data_ptr()
        assert not torch.equal(cache.reuse.held[0], found[-1])


@pytest.mark.parametrize("reuse", [None, Forecast(order=1)])
def test_inference_mode_copies_and_gives_the_same(unet2d_condition, reuse):
    with DeepCache(unet2d_condition, 3, 2, reuse=reuse) as cache:
        expected = sampled(unet2d_condition)
        with torch.inference_mode():
            cache.start_trajectory()
            assert torch.equal(sampled(unet2d_condition), expected)
        cache.start_trajectory()
        assert torch.equal(sampled(unet2d_condition), expected)


@pytest.mark.parametrize("when", [0, 1])
def test_who_begins_to_write_later_is_refused_and_nothing_is_kept(unet2d_condition, when):
    with DeepCache(unet2d_condition, 2, 8) as cache:
        steps(unet2d_condition, 2 + when)
        unet2d_condition.enable_freeu(s1=0.6, s2=0.4, b1=1.4, b2=1.6)
        with pytest.raises(DeepCacheError, match="something writes into the cached feature"):
            steps(unet2d_condition, 1)
        assert cache.bytes_cached == 0
    with DeepCache(unet2d_condition, 2, 8):
        steps(unet2d_condition, 4)


def test_a_part_of_a_larger_tensor_is_copied(unet2d_condition):
    unet2d_condition.up_blocks[2].register_forward_hook(lambda module, args, output: torch.cat([output] * 2)[:2])
    with DeepCache(unet2d_condition, 2, 2) as cache:
        steps(unet2d_condition, 4)
        assert cache.reuse.held[0].untyped_storage().nbytes() == cache.bytes_cached
