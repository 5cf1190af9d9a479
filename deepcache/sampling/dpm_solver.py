"""DPM-Solver++ (Lu et al. 2022) for the families whose own sampler is DDIM: the same ODE to second order."""

from collections.abc import Callable, Mapping

import torch
from diffusers import DPMSolverMultistepScheduler

from deepcache.caching.schedulers import make_scheduler
from deepcache.errors import DeepCacheError


def make_dpm_solver(num_steps: int, config: Mapping) -> DPMSolverMultistepScheduler:
    """A fresh scheduler that can take so many steps.

    Args:
        num_steps: T.
        config: the checkpoint's scheduler, for its betas.

    Raises:
        DeepCacheError: unless 1 <= num_steps < timesteps of the training; with more, some would coincide.
    """
    # Timesteps to the very first one: with few steps the spacing that DDIM is given would leave much of the noise out.
    scheduler = make_scheduler("dpmpp", {**config, "timestep_spacing": "linspace"})
    most = scheduler.config.num_train_timesteps - 1
    if not 1 <= num_steps <= most:
        raise DeepCacheError(f"steps of dpmpp must be between 1 and {most}, not {num_steps}")
    return scheduler


def dpm_solver(
    predict_noise: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    x: torch.Tensor,
    num_steps: int,
    config: Mapping,
    *,
    on_step: Callable[[int], None] = lambda step: None,
) -> torch.Tensor:
    """Integrate from noise to a sample, as deepcache.sampling.ddim.ddim does.

    Args:
        predict_noise: called with (x, timestep as a 0-dimensional int64 tensor), returns the noise, shape of x.
        x: noise, shape (B, C, H, W).
        num_steps: T.
        config: see `make_dpm_solver`.
        on_step: called with the index of each step after it.

    Returns:
        The sample, shape of x.

    Raises:
        DeepCacheError: as `make_dpm_solver`.
    """
    scheduler = make_dpm_solver(num_steps, config)
    scheduler.set_timesteps(num_steps, device=x.device)
    scheduler.set_begin_index(0)  # else the first step waits for the device
    for step, t in enumerate(scheduler.timesteps):
        x = scheduler.step(predict_noise(x, t), t, x).prev_sample
        on_step(step)
    return x
