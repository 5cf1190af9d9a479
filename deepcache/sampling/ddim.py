"""DDIM (Song et al. 2021) as pure functions."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from deepcache.errors import DeepCacheError


def ddim_timesteps(num_steps: int, spacing: str = "uniform", num_train_timesteps: int = 1000) -> tuple[int, ...]:
    """Timesteps of a trajectory, noisiest first, as the original DDIM code chooses them (Song et al., Appendix D.2).

    Args:
        num_steps: T.
        spacing: "uniform" takes every (num_train_timesteps // T)-th timestep from 0 to the noisiest, which are more
            than T where T does not divide their number; "quad" takes the squares of T evenly spaced numbers up to
            sqrt(0.8 num_train_timesteps), which the paper uses for CIFAR-10. Rounded down, a few of these coincide;
            such a step leaves the sample where it is, and counts as a step all the same.
        num_train_timesteps: timesteps that the model was trained with.

    Raises:
        DeepCacheError: unless 1 <= num_steps <= num_train_timesteps and the spacing is known.
    """
    if not 1 <= num_steps <= num_train_timesteps:
        raise DeepCacheError(
            f"steps must be between 1 and {num_train_timesteps} (timesteps of training), not {num_steps}"
        )
    if spacing == "uniform":
        rising = list(range(0, num_train_timesteps, num_train_timesteps // num_steps))
    elif spacing == "quad":
        rising = [int(root**2) for root in np.linspace(0, np.sqrt(num_train_timesteps * 0.8), num_steps)]
    else:
        raise DeepCacheError(f"spacing must be uniform or quad, not {spacing!r}")
    return tuple(reversed(rising))


def ddim(
    predict_noise: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    timesteps: Sequence[int],
    alphas_cumprod: torch.Tensor,
    *,
    eta: float = 0.0,
    generator: torch.Generator | None = None,
    on_step: Callable[[int], None] = lambda step: None,
) -> torch.Tensor:
    """Integrate from noise to a sample (Song et al. 2021, Eq. 12).

    Args:
        predict_noise: called with (x, timestep as a 0-dimensional int64 tensor), returns the noise, shape of x.
        x: noise, shape (B, C, H, W).
        timesteps: noisiest first; after the last one the signal is clean (alpha = 1).
        alphas_cumprod: product of 1 - beta up to each timestep of training, shape (num_train_timesteps,).
        eta: 0 is deterministic DDIM, 1 is DDPM.
        generator: draws the noise that eta > 0 needs.
        on_step: called with the index of each step after it.

    Returns:
        The sample, shape of x.
    """
    # Python floats, in double precision and on the host: no step waits for the device.
    alphas = [float(alphas_cumprod[t]) for t in timesteps] + [1.0]
    times = torch.tensor(list(timesteps), device=x.device)
    for step in range(len(timesteps)):
        alpha, alpha_next = alphas[step], alphas[step + 1]
        noise = predict_noise(x, times[step])
        clean = (x - (1 - alpha) ** 0.5 * noise) / alpha**0.5
        sigma = eta * ((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)) ** 0.5
        x = alpha_next**0.5 * clean + (1 - alpha_next - sigma**2) ** 0.5 * noise
        if sigma > 0:
            x = x + sigma * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        on_step(step)
    return x
