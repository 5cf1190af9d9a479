"""DeepCache on U-Nets whose weights lie elsewhere or in another precision until they are needed."""

import pytest
import torch
from accelerate import cpu_offload, cpu_offload_with_hook, dispatch_model
from accelerate.hooks import add_hook_to_module, remove_hook_from_module

from deepcache import DeepCache, DeepCacheError
from tests.caching.contexts import assert_cached_equals_overridden, cached, sampled
from tests.caching.counting import Counting
from tests.caching.pipelines import generate


def hooks(unet) -> dict:
    """What accelerate has put on each module."""
    return {
        name: {key: value for key, value in vars(module).items() if key in ("_hf_hook", "_old_forward", "forward")}
        for name, module in unet.named_modules()
    }


@pytest.mark.parametrize("branch", [0, 4])
def test_offloaded_unet_gives_the_same_sample_and_keeps_its_hooks(unet2d_condition, branch):
    expected = cached(unet2d_condition, branch)
    cpu_offload(unet2d_condition, execution_device=torch.device("cpu"))
    assert unet2d_condition.conv_in.weight.device.type == "meta", "the weights are brought when they are needed"
    before = hooks(unet2d_condition)
    assert torch.equal(cached(unet2d_condition, branch), expected)
    assert hooks(unet2d_condition) == before
    remove_hook_from_module(unet2d_condition, recurse=True)
    assert torch.equal(cached(unet2d_condition, branch), expected)


def test_offloading_hook_runs_once_per_step(unet2d_condition):
    expected = cached(unet2d_condition)
    hook = Counting()
    add_hook_to_module(unet2d_condition, hook)
    assert torch.equal(cached(unet2d_condition), expected)
    assert (hook.before, hook.after) == (4, 4)


@pytest.mark.parametrize("removed", ["before", "after"])
def test_offloading_hook_that_is_added_while_caching_is_enabled(unet2d_condition, removed):
    full, expected = sampled(unet2d_condition), cached(unet2d_condition)
    cache, hook = DeepCache(unet2d_condition, 3, 2).enable(), Counting()
    add_hook_to_module(unet2d_condition, hook)
    with pytest.raises(DeepCacheError, match="enabled on this U-Net already"):
        DeepCache(unet2d_condition, 3, 2).enable()
    assert torch.equal(sampled(unet2d_condition), expected)
    if removed == "before":
        remove_hook_from_module(unet2d_condition)
        cache.start_trajectory()
        assert torch.equal(sampled(unet2d_condition), expected)
    cache.disable()
    assert torch.equal(sampled(unet2d_condition), full)
    if removed == "after":
        assert (hook.before, hook.after) == (8, 8), "the hook outlives caching"
        assert torch.equal(cached(unet2d_condition), expected)
        remove_hook_from_module(unet2d_condition)
    assert torch.equal(sampled(unet2d_condition), full)
    assert torch.equal(cached(unet2d_condition), expected)


@pytest.mark.parametrize("first", ["offloading", "caching"])
def test_pipeline_that_removes_and_adds_its_offloading_hooks_stays_cached(pipe, first):
    """diffusers takes the hooks off each model and puts new ones on at the end of every call of a pipeline."""
    full = generate(pipe)
    with DeepCache(pipe, 3, 1):
        expected = generate(pipe)
    cache = DeepCache(pipe, 3, 1)
    if first == "caching":
        cache.enable()
    pipe.enable_model_cpu_offload(device="cpu")
    if first == "offloading":
        cache.enable()
    for _ in range(3):
        hook = pipe.unet._hf_hook
        assert torch.equal(generate(pipe), expected)
        assert cache.full_steps == (0, 3)
        assert pipe.unet._hf_hook is not hook, "diffusers renews the hooks"
    cache.disable()
    assert torch.equal(generate(pipe), full) and torch.equal(generate(pipe), full)
    pipe.remove_all_hooks()
    assert torch.equal(generate(pipe), full)


def test_offloading_with_a_hook_handle(unet2d_condition):
    expected = cached(unet2d_condition)
    _, handle = cpu_offload_with_hook(unet2d_condition, torch.device("cpu"))
    assert torch.equal(cached(unet2d_condition), expected)
    handle.offload()
    handle.remove()
    assert torch.equal(cached(unet2d_condition), expected)


def test_unet_spread_over_devices_block_by_block_is_refused(unet2d_condition):
    dispatch_model(unet2d_condition, {"": "cpu"}, force_hooks=True)
    full, before = sampled(unet2d_condition), hooks(unet2d_condition)
    with pytest.raises(DeepCacheError, match="without a device map"):
        DeepCache(unet2d_condition, 3, 1).enable()
    assert hooks(unet2d_condition) == before
    assert torch.equal(sampled(unet2d_condition), full)


def test_weights_stored_in_lower_precision(unet2d_condition):
    unet2d_condition.enable_layerwise_casting(storage_dtype=torch.bfloat16, compute_dtype=torch.float32)
    assert unet2d_condition.down_blocks[0].resnets[0].conv1.weight.dtype == torch.bfloat16
    assert_cached_equals_overridden(unet2d_condition)
