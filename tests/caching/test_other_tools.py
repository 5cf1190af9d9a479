"""DeepCache beside other tools that patch a U-Net or hook into it."""

from types import SimpleNamespace

import pytest
import torch
from accelerate.hooks import add_hook_to_module
from DeepCache import DeepCacheSDHelper
from diffusers import (
    DDIMScheduler,
)
from diffusers.models.attention_processor import AttnProcessor2_0

from deepcache import DeepCache, DeepCacheError
from tests.caching.contexts import cached, sampled
from tests.caching.counting import Counting
from tests.caching.reference import overridden
from tests.conftest import make_unet2d_condition


def test_authors_plugin_must_be_disabled_first_and_leaves_nothing_behind(unet2d_condition):
    pipe = SimpleNamespace(unet=unet2d_condition, scheduler=DDIMScheduler())
    helper = DeepCacheSDHelper(pipe)
    helper.set_params(cache_interval=3, cache_branch_id=2)
    helper.enable()
    for model in (pipe, unet2d_condition):
        with pytest.raises(DeepCacheError, match="another tool has replaced the forward of UNet2DConditionModel"):
            DeepCache(model, 3, 2).enable()
    helper.disable()
    fresh = make_unet2d_condition()
    for branch in (0, 4, 11):
        assert torch.equal(cached(unet2d_condition, branch), cached(fresh, branch))
    assert torch.equal(sampled(unet2d_condition), sampled(fresh))


def test_authors_plugin_below_an_offloading_hook_is_refused_too(unet2d_condition):
    helper = DeepCacheSDHelper(SimpleNamespace(unet=unet2d_condition, scheduler=DDIMScheduler()))
    helper.set_params(cache_interval=3, cache_branch_id=2)
    helper.enable()
    add_hook_to_module(unet2d_condition, Counting())
    with pytest.raises(DeepCacheError, match="another tool has replaced the forward"):
        DeepCache(unet2d_condition, 3, 2).enable()


def test_a_forward_that_another_tool_has_kept_passes_through_after_disabling(unet2d_condition):
    full = sampled(unet2d_condition)
    cache = DeepCache(unet2d_condition, 3, 2).enable()
    kept = unet2d_condition.forward
    unet2d_condition.forward = lambda *args, **kwargs: kept(*args, **kwargs)
    cache.disable()
    assert torch.equal(sampled(unet2d_condition), full)
    assert (cache.steps, cache.bytes_cached) == (0, 0)


def test_hooks_on_the_unet_fire_once_per_step(unet2d_condition):
    fired = []
    unet2d_condition.register_forward_pre_hook(lambda module, args: fired.append("before"))
    unet2d_condition.register_forward_hook(lambda module, args, output: fired.append("after"))
    expected = cached(make_unet2d_condition())
    assert torch.equal(cached(unet2d_condition), expected)
    assert fired == ["before", "after"] * 4


@pytest.mark.parametrize("when", ["before", "between"])
@pytest.mark.parametrize("block", ["up_blocks.3", "up_blocks.2", "up_blocks.3.resnets.1"])
def test_hooks_on_blocks_hold_at_shallow_steps_too(unet2d_condition, when, block):
    """Steering: on a block that is cut, on the one that feeds it, on a layer of it."""

    def hook():
        unet2d_condition.get_submodule(block).register_forward_hook(lambda module, args, output: output * 1.2)

    if when == "before":
        hook()
    with DeepCache(unet2d_condition, 3, 2) as cache:
        sampled(unet2d_condition)
        if when == "between":
            hook()
        ours = sampled(unet2d_condition)
        assert cache.full_steps == (0, 3)
    with overridden(unet2d_condition, 2, (0, 3)):
        assert torch.equal(ours, sampled(unet2d_condition))


def test_a_block_that_is_patched_while_enabled_is_refused(unet2d_condition):
    with DeepCache(unet2d_condition, 3, 1):
        sampled(unet2d_condition)
        block = unet2d_condition.up_blocks[3]
        forward = block.forward
        block.forward = lambda *args, **kwargs: forward(*args, **kwargs) * 1.5
        with pytest.raises(DeepCacheError, match="another tool has replaced the forward of CrossAttnUpBlock2D"):
            sampled(unet2d_condition)


def test_processors_that_hold_plain_things_keep_nothing(unet2d_condition, caplog):
    class Wrapping:
        def __init__(self):
            self.inner, self.scale = AttnProcessor2_0(), 0.5

        def __call__(self, *args, **kwargs):
            return self.inner(*args, **kwargs)

    class Slotted:
        __slots__ = ()

        def __call__(self, *args, **kwargs):
            return AttnProcessor2_0()(*args, **kwargs)

    for processor in (Wrapping(), Slotted()):
        unet2d_condition.set_attn_processor(processor)
        with DeepCache(unet2d_condition, 3, 1) as cache:
            sampled(unet2d_condition)
            assert cache.full_steps == (0, 3)
    assert not caplog.records
