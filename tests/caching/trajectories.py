"""Made-up trajectories of a bare U-Net, cached and not."""

import torch

from deepcache import DeepCache

STEPS = 7


def trajectory(unet, batch=2, size=16, tokens=5, steps=STEPS, device="cpu", timestep=None):
    """What the U-Net returns at each step of a made-up trajectory."""
    generator = torch.Generator().manual_seed(batch * size + tokens)
    x = torch.randn(batch, unet.config.in_channels, size, size, generator=generator).to(device)
    call = {}
    if unet.config.get("cross_attention_dim"):
        call["encoder_hidden_states"] = torch.randn(batch, tokens, 16, generator=generator).to(device)
    outputs = []
    with torch.no_grad():
        for step in range(steps):
            t = (timestep or torch.tensor)(990 - 10 * step)
            x = x - 0.1 * unet(x, t, **call, return_dict=False)[0]
            outputs.append(x)
    return torch.stack(outputs)


def cached(unet, interval=3, branch=2, reuse=None, calls=({},), **modes):
    """Trajectories one after another with caching."""
    with DeepCache(unet, interval, branch, reuse=reuse, **modes) as cache:
        found = []
        for call in calls:
            cache.start_trajectory()
            found.append(trajectory(unet, **call))
    return found
