"""DDIM trajectories of a U-Net with a context, cached and not."""

import torch
from diffusers import (
    DDIMScheduler,
)

from deepcache import DeepCache, uniform
from tests.caching.reference import overridden, trajectory

CONTEXT = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(7))


def call(unet, x, t, **options):
    """One call with a context."""
    return unet(x, t, encoder_hidden_states=CONTEXT, **options).sample


def sampled(unet, call=call, num_steps=4, **options):
    """A DDIM trajectory."""
    return trajectory(unet, DDIMScheduler(), num_steps, call, **options)


def cached(unet, branch=2, interval=3, call=call):
    """A DDIM trajectory with caching."""
    with DeepCache(unet, interval, branch):
        return sampled(unet, call)


def assert_cached_equals_overridden(unet, branch=2, call=call):
    """Sample with caching and with the full network; returns the sample."""
    ours = cached(unet, branch, call=call)
    with overridden(unet, branch, uniform(4, 3)):
        assert torch.equal(ours, sampled(unet, call))
    assert not torch.equal(ours, sampled(unet, call)), "caching makes a difference"
    return ours
