"""DeepCache beside other tools that patch a U-Net or hook into it."""

from types import SimpleNamespace

import pytest
import torch
from accelerate.hooks import add_hook_to_module
from DeepCache import DeepCacheSDHelper
from diffusers import (
    DDIMScheduler,
)

from deepcache import DeepCache, DeepCacheError
from tests.caching.contexts import cached, sampled
from tests.caching.counting import Counting
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
