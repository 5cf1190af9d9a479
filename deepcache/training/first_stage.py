"""Training of a first stage with a codebook (VQ-VAE, van den Oord et al. 2017).

The perceptual and adversarial losses of LDM's first stages are left out: digits come out well without them.
"""

import dataclasses

import torch
import torch.nn.functional as F
from diffusers import VQModel

from deepcache.training.held_out import HELD_OUT, split
from deepcache.training.loop import TrainingResult, TrainingSettings, fit

COMMITMENT_WEIGHT = 0.1
REVIVE_EVERY = 50  # steps
REVIVE_UNTIL = 0.6  # of all steps; the codebook settles in the rest
BATCH = 256  # images that are encoded at once


class CodebookLoss:
    """Reconstruction and commitment loss, which also keeps the codebook from collapsing.

    An entry that no latent of the last REVIVE_EVERY batches is closest to gets no gradient, so it would never be used
    again: it is moved to a latent of the present batch (Dhariwal et al. 2020, Jukebox, section 3.1).

    Args:
        vqvae: the first stage.
        revive_steps: for how many steps unused entries are moved.
    """

    def __init__(self, vqvae: VQModel, revive_steps: int):
        self._vqvae, self._revive_steps, self._step = vqvae, revive_steps, 0
        self._used = torch.zeros(vqvae.config.num_vq_embeddings, dtype=torch.bool)

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Loss of images, float32, shape (B, C, H, W), scaled to [-1, 1]; the generator draws what replaces entries."""
        latents = self._vqvae.encode(images).latents
        quantised, commitment, (_, _, entries) = self._vqvae.quantize(latents)
        reconstructed = self._vqvae.decode(quantised, force_not_quantize=True).sample
        self._step += 1
        self._used[entries] = True
        if self._step % REVIVE_EVERY == 0:
            if self._step <= self._revive_steps:
                self._revive(latents.detach(), generator)
            self._used.zero_()
        return F.mse_loss(reconstructed, images) + COMMITMENT_WEIGHT * commitment

    def _revive(self, latents: torch.Tensor, generator: torch.Generator) -> None:
        candidates = latents.permute(0, 2, 3, 1).flatten(0, 2)
        chosen = torch.randint(len(candidates), ((~self._used).sum(),), generator=generator)
        self._vqvae.quantize.embedding.weight.data[~self._used] = candidates[chosen]


def train_first_stage(
    vqvae: VQModel, data: torch.Tensor, settings: TrainingSettings, name: str
) -> tuple[TrainingResult, torch.Tensor]:
    """Train a first stage in place and set its `scaling_factor` so that its latents have a standard deviation of 1.

    Args:
        vqvae: with random weights.
        data: images, float32, shape (N, C, H, W), scaled to [-1, 1].
        settings: see TrainingSettings.
        name: shown in the progress bar.

    Returns:
        result: with the reconstruction of held-out images (dB) and the use of the codebook over all images.
        latents: of all images, scaled but not quantised, shape (N, latent channels, h, w).
    """
    held_out, used = split(len(data), settings.seed)
    loss = CodebookLoss(vqvae, int(REVIVE_UNTIL * settings.steps))

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        chosen = used[torch.randint(0, len(used), (settings.batch_size,), generator=generator)]
        return loss(data[chosen], generator)

    result = fit(vqvae, batch_loss, settings, name)
    with torch.no_grad():
        latents = torch.cat([vqvae.encode(images).latents for images in data.split(BATCH)])
        entries = vqvae.quantize(latents)[2][2]
        psnr = reconstruction_psnr(vqvae.decode(latents[held_out]).sample, data[held_out])
    vqvae.register_to_config(scaling_factor=1 / latents.std().item())
    figures = {
        "held_out_images": HELD_OUT,
        "held_out_psnr_db": psnr,
        "codebook_entries": vqvae.config.num_vq_embeddings,
        "codebook_entries_used": len(entries.unique()),
    }
    return dataclasses.replace(result, figures=figures), latents * vqvae.config.scaling_factor


def reconstruction_psnr(reconstructed: torch.Tensor, images: torch.Tensor) -> float:
    """PSNR in dB of images scaled to [-1, 1]; what lies outside is clipped."""
    error = F.mse_loss(reconstructed.clamp(-1, 1), images)
    return 10 * (4 / error).log10().item()  # from -1 to 1 is 2
