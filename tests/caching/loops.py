"""Loops over a U-Net by itself, each of one picture, and which of their calls ran fully."""

import torch

from deepcache import DeepCache
from tests.caching.streams import NOISE, TOKENS

RISING = torch.arange(0, 1000, 100)
FALLING = RISING.flip(0).contiguous()


def logged(unet, loop):
    """What a loop returns, and for each call of the U-Net whether it ran fully."""
    ran = []
    handles = [
        unet.register_forward_pre_hook(lambda *_: ran.append(".")),
        unet.mid_block.register_forward_hook(lambda *_: ran.__setitem__(-1, "F")),
    ]
    try:
        with torch.no_grad():
            return loop(), "".join(ran)
    finally:
        for handle in handles:
            handle.remove()


def picture(unet, timesteps, seed=0, context=0):
    """A made-up trajectory of a picture of its own."""
    x = NOISE.roll(seed, 0) * (1 + seed)
    for t in timesteps:
        x = x - 0.1 * unet(x, t, TOKENS[context]).sample
    return x


def expected(unet, pattern, seed=0, length=10):
    """The picture for which the calls of a pattern run fully, such as F..F, from a cache that is told every step."""
    full = tuple(step for step, mark in enumerate(pattern) if mark == "F")
    with torch.no_grad(), DeepCache(unet, schedule=full, branch=1) as cache:
        x = NOISE.roll(seed, 0) * (1 + seed)
        for step in range(length):
            cache.next_step()
            x = x - 0.1 * unet(x, 900 - 100 * step, TOKENS[0]).sample
        return x
