"""DeepCache on U-Nets that somebody has changed: LoRA, FreeU, adapters, torch.compile."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import (
    DDIMScheduler,
)
from peft import LoraConfig

from deepcache import DeepCache, DeepCacheError, Forecast
from tests.caching.contexts import assert_cached_equals_overridden, cached, call, sampled
from tests.caching.reference import overridden
from tests.conftest import make_unet2d_condition


def add_lora(unet, *targets) -> None:
    """A LoRA adapter with random weights."""
    torch.manual_seed(5)
    unet.add_adapter(LoraConfig(r=2, lora_alpha=8, target_modules=list(targets), init_lora_weights=False))


@pytest.mark.parametrize("branch", [0, 4])
@pytest.mark.parametrize("targets", [("to_q", "to_v"), ("conv_in", "conv1", "proj_in"), ("conv_out", "linear_1")])
def test_lora_that_was_added_before(unet2d_condition, branch, targets):
    without = cached(unet2d_condition, branch)
    add_lora(unet2d_condition, *targets)
    assert not torch.equal(assert_cached_equals_overridden(unet2d_condition, branch), without)


@pytest.mark.parametrize("branch", [0, 4])
def test_lora_scale_of_a_call(unet2d_condition, branch):
    add_lora(unet2d_condition, "to_q", "to_k", "to_v", "conv_in", "conv1")

    def scaled(unet, x, t):
        return call(unet, x, t, cross_attention_kwargs={"scale": 0.5})

    ours = assert_cached_equals_overridden(unet2d_condition, branch, scaled)
    assert not torch.equal(ours, cached(unet2d_condition, branch))


def test_lora_removed_after_caching_leaves_the_first_unet(unet2d_condition):
    expected = cached(unet2d_condition)
    add_lora(unet2d_condition, "to_q", "conv_in")
    cached(unet2d_condition)
    unet2d_condition.unload_lora()
    assert type(unet2d_condition.conv_in) is torch.nn.Conv2d
    assert torch.equal(cached(unet2d_condition), expected)


@pytest.mark.parametrize("branch", [0, 4, 6, 8, 9, 11])
def test_freeu_that_was_enabled_before(unet2d_condition, branch):
    """FreeU scales the hidden features in place: at the deeper branches, that is the very feature that is cached."""
    unet2d_condition.enable_freeu(s1=0.6, s2=0.4, b1=1.4, b2=1.6)
    ours = assert_cached_equals_overridden(unet2d_condition, branch)
    unet2d_condition.disable_freeu()
    assert not torch.equal(ours, cached(unet2d_condition, branch))


def test_freeu_with_a_forecast(unet2d_condition):
    unet2d_condition.enable_freeu(s1=0.6, s2=0.4, b1=1.4, b2=1.6)
    with DeepCache(unet2d_condition, 3, 7, reuse=Forecast(1)):
        ours = sampled(unet2d_condition, num_steps=6)

    def line(features, step):
        if len(features) == 1:
            return features[0][1]
        (start, first), (end, last) = features
        weight = (step - start) / (end - start)
        return (1 - weight) * first + weight * last

    with overridden(unet2d_condition, 7, (0, 3), line):
        assert torch.allclose(ours, sampled(unet2d_condition, num_steps=6), rtol=0, atol=1e-5)


@pytest.mark.parametrize("branch", [8, 10, 11])
def test_adapter_with_a_residual_for_the_middle_block(unet2d_condition, branch):
    generator = torch.Generator()
    shapes = [(8, 16), (8, 8), (16, 4), (16, 2), (16, 2)]  # channels and side; the last is the middle block's

    def adapted(unet, x, t):
        generator.manual_seed(3)
        residuals = [torch.randn(2, channels, side, side, generator=generator) for channels, side in shapes]
        return call(unet, x, t, down_intrablock_additional_residuals=residuals)

    assert_cached_equals_overridden(unet2d_condition, branch, adapted)


def test_compiled_unet_is_refused(unet2d_condition):
    compiled = torch.compile(unet2d_condition, backend="eager")
    for model in (compiled, SimpleNamespace(unet=compiled, scheduler=DDIMScheduler())):
        with pytest.raises(DeepCacheError, match="this U-Net was compiled: enable DeepCache on the uncompiled U-Net"):
            DeepCache(model, 3)
    assert torch.equal(cached(compiled._orig_mod), cached(make_unet2d_condition()))


@pytest.mark.parametrize("when", ["before", "between"])
def test_unet_compiled_in_place_is_refused(unet2d_condition, when):
    cache = DeepCache(unet2d_condition, 3) if when == "between" else None
    unet2d_condition.compile(backend="eager")
    with pytest.raises(DeepCacheError, match="this U-Net was compiled in place"):
        (cache or DeepCache(unet2d_condition, 3)).enable()
    assert "forward" not in vars(unet2d_condition)


def test_enabling_twice_is_refused_and_the_first_goes_on(unet2d_condition):
    expected = cached(unet2d_condition)
    with DeepCache(unet2d_condition, 3, 2) as cache:
        for second in (cache, DeepCache(unet2d_condition, 5, 0)):
            with pytest.raises(DeepCacheError, match=r"on this U-Net already: DeepCache\.of"):
                second.enable()
        assert torch.equal(sampled(unet2d_condition), expected)
    with cache:
        assert torch.equal(sampled(unet2d_condition), expected)
    cache.disable()
    cache.disable()
    assert torch.equal(cached(unet2d_condition), expected)
