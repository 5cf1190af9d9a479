"""The loss of a denoiser: of noise (DDPM, Ho et al. 2020, Eq. 14) or of velocity (Salimans and Ho 2022, appendix D)."""

import torch
import torch.nn.functional as F


def denoising_loss(predict, clean: torch.Tensor, scheduler, generator: torch.Generator) -> torch.Tensor:
    """Mean squared error between what a model finds in noisy data and what it should find.

    Args:
        predict: called with (noisy, timesteps), returns what the scheduler's `prediction_type` says, the noise
            (`epsilon`) or the velocity (`v_prediction`); shapes (B, C, H, W), (B,).
        clean: float32, shape (B, C, H, W), images scaled to [-1, 1] or latents of about unit variance.
        scheduler: a diffusers scheduler with `add_noise`.
        generator: draws noise and timesteps.
    """
    noise = torch.randn(clean.shape, generator=generator)
    timesteps = torch.randint(0, scheduler.config.num_train_timesteps, (len(clean),), generator=generator)
    wanted = noise
    if scheduler.config.prediction_type == "v_prediction":
        signal = scheduler.alphas_cumprod[timesteps].view(-1, *[1] * (clean.dim() - 1))
        wanted = signal.sqrt() * noise - (1 - signal).sqrt() * clean
    return F.mse_loss(predict(scheduler.add_noise(clean, noise, timesteps), timesteps), wanted)
