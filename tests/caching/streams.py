"""Made-up trajectories that call the U-Net several times a step, and their reference."""

from contextlib import contextmanager

import torch
from diffusers import DDIMScheduler

from tests.caching.reference import feature_replaced
from tests.conftest import make_unet2d_condition

TOKENS = torch.randn(6, 2, 5, 16, generator=torch.Generator().manual_seed(7))
NOISE = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(1))
STEPS = 7
# What feeds a branch, written out by hand.
FEEDERS = {1: "up_blocks.1.attentions.0", 0: "up_blocks.1.attentions.1", 2: "up_blocks.0", 5: "mid_block"}

# What a step calls the U-Net with: the name of each stream, how many of the two images, which context. A pattern is a
# function of the step.
PATTERNS = {
    "one batch": lambda step: [("both", 2, 0)],
    "conditions apart": lambda step: [("without", 2, 0), ("with", 2, 1)],
    "self-attention guidance": lambda step: [("guided", 2, 0), ("degraded", 1, 1)],
    "three tiles": lambda step: [(f"tile {tile}", 1, 0) for tile in range(3)],
    "refined at some steps": lambda step: [("one", 1, 0)] + [("again", 1, 0)] * (step in (1, 2)) + [("both", 2, 1)],
    "guidance ends": lambda step: [("guided", 2, 0)] if step < 4 else [("plain", 1, 1)],
    "the first condition ends": lambda step: [("without", 2, 0)] * (step < 4) + [("with", 2, 1)],
    "guidance in the middle": lambda step: [("with", 2, 1)] + [("without", 2, 0)] * (2 <= step < 5),
}


def make_unet(**changes):
    """Two levels of two layers: six branches."""
    return make_unet2d_condition(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        **changes,
    )


def run(unet, pattern, timesteps, before_step=lambda: None, after_step=lambda t: None):
    """A made-up trajectory; every call's output goes into the latent."""
    x = NOISE.clone()
    with torch.no_grad():
        for step, t in enumerate(timesteps):
            before_step()
            for name, images, context in PATTERNS[pattern](step):
                change = unet(x[:images], t, TOKENS[context][:images]).sample
                x = x - 0.1 * torch.cat([change] * 2)[:2] * (1 + 0.1 * len(name))
            after_step(t)
    return x


def planned(pattern, full_steps, steps=STEPS, guessed=False):
    """For each call its stream and whether it runs fully: at a full step, or if the stream was not there before.

    Where the steps are `guessed` from the timesteps, several calls of a step are trusted once there were as many in the
    step before it, too.
    """
    calls, before, counts = [], set(), []
    for step in range(steps):
        names = [name for name, *_ in PATTERNS[pattern](step)]
        if guessed and counts and counts[-1] > 1 and counts[-1:] != counts[-2:-1]:
            before = set()
        calls += [(name, step in full_steps or name not in before) for name in names]
        before = set(names)
        counts.append(len(names))
    return calls


@contextmanager
def streams_overridden(unet, branch, calls):
    """Replace each stream's feature by that of its last full call where it does not run fully."""
    features, left = {}, iter(calls)

    def override(feature):
        name, full = next(left)
        if full:
            features[name] = feature.clone()
        return features[name].clone()

    handle = feature_replaced(unet, FEEDERS[branch], override)
    try:
        yield
    finally:
        handle.remove()


def reference(unet, branch, pattern, full_steps, timesteps, guessed=False):
    """The full network with each stream's feature overridden, see `planned`."""
    with streams_overridden(unet, branch, planned(pattern, full_steps, len(timesteps), guessed)):
        return run(unet, pattern, timesteps)


def scheduler_of(kind=DDIMScheduler, **options):
    scheduler = kind(**options)
    scheduler.set_timesteps(STEPS)
    return scheduler
