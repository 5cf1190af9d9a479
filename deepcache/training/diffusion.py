"""The noise-prediction loss of DDPM (Ho et al. 2020, Eq. 14)."""

import torch
import torch.nn.functional as F


def noise_prediction_loss(predict_noise, clean: torch.Tensor, scheduler, generator: torch.Generator) -> torch.Tensor:
    """Mean squared error between the noise that was added and the noise that the model finds.

    Args:
        predict_noise: called with (noisy, timesteps), returns the noise; shapes (B, C, H, W), (B,).
        clean: float32, shape (B, C, H, W), images scaled to [-1, 1] or latents of about unit variance.
        scheduler: a diffusers scheduler with `add_noise`.
        generator: draws noise and timesteps.
    """
    noise = torch.randn(clean.shape, generator=generator)
    timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (len(clean),), generator=generator)
    return F.mse_loss(predict_noise(scheduler.add_noise(clean, noise, timesteps), timesteps), noise)
