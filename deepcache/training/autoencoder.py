"""Training of a first stage with a Gaussian latent (Rombach et al. 2022, "KL-reg"; Kingma and Welling 2014).

As with the codebook, the perceptual and adversarial losses are left out.
"""

import dataclasses

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from deepcache.training.first_stage import BATCH, reconstruction_psnr
from deepcache.training.loop import TrainingResult, TrainingSettings, fit

KL_WEIGHT = 1e-4  # per element of the latent, beside the mean squared error


def train_autoencoder(
    vae: AutoencoderKL, data: torch.Tensor, held_out: torch.Tensor, settings: TrainingSettings, name: str
) -> TrainingResult:
    """Train a first stage in place and set its `scaling_factor` so that its latents have a standard deviation of 1.

    Args:
        vae: with random weights.
        data: images, float32, shape (N, C, H, W), scaled to [-1, 1].
        held_out: images that measure the reconstruction, scaled alike, shape (M, C, H, W).
        settings: see TrainingSettings.
        name: shown in the progress bar.

    Returns:
        The result, with the reconstruction of held-out images (dB).
    """

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        images = data[torch.randint(0, len(data), (settings.batch_size,), generator=generator)]
        posterior = vae.encode(images).latent_dist
        reconstructed = vae.decode(posterior.sample(generator)).sample
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        return F.mse_loss(reconstructed, images) + KL_WEIGHT * kl

    result = fit(vae, batch_loss, settings, name)
    mean, std = encode_all(vae, data)  # the scale is still 1
    vae.register_to_config(scaling_factor=1 / (mean.var() + std.square().mean()).sqrt().item())
    with torch.no_grad():
        reconstructed = [vae.decode(vae.encode(images).latent_dist.mean).sample for images in held_out.split(BATCH)]
    figures = {
        "held_out_images": len(held_out),
        "held_out_psnr_db": reconstruction_psnr(torch.cat(reconstructed), held_out),
    }
    return dataclasses.replace(result, figures=figures)


@torch.no_grad()
def encode_all(vae: AutoencoderKL, data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each image's latent, scaled, each of shape (N, latent channels, h, w)."""
    found = [vae.encode(images).latent_dist for images in data.split(BATCH)]
    mean, std = torch.cat([one.mean for one in found]), torch.cat([one.std for one in found])
    return mean * vae.config.scaling_factor, std * vae.config.scaling_factor
