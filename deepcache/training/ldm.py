"""Training of `digits-ldm`: its first stage, then a U-Net on the latents (Rombach et al. 2022)."""

from pathlib import Path

import torch

from deepcache.data.digits import load_digits
from deepcache.models.digits import (
    LDM_IMAGE_SIZE,
    digits_ldm_classes,
    digits_ldm_unet,
    digits_ldm_vqvae,
    ldm_scheduler,
)
from deepcache.models.ldm_pipeline import LDMClassPipeline
from deepcache.training.diffusion import denoising_loss
from deepcache.training.first_stage import train_first_stage
from deepcache.training.loop import TrainingResult, TrainingSettings, fit

UNCONDITIONAL = 0.15  # share of images whose label is dropped (Ho and Salimans 2022: 0.1 to 0.2)


def train_ldm(phases: dict[str, TrainingSettings], folder: Path) -> dict[str, TrainingResult]:
    """Train in two phases, `first_stage` and `unet`, and save the pipeline."""
    images, labels = load_digits(LDM_IMAGE_SIZE)
    data = images.float() / 127.5 - 1
    vqvae, unet, classes, scheduler = digits_ldm_vqvae(), digits_ldm_unet(), digits_ldm_classes(), ldm_scheduler()
    first_stage, latents = train_first_stage(vqvae, data, phases["first_stage"], "digits-ldm, first stage")
    no_class, settings = classes.config.num_embeddings - 1, phases["unet"]

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randint(0, len(latents), (settings.batch_size,), generator=generator)
        dropped = torch.rand(len(chosen), generator=generator) < UNCONDITIONAL
        context = classes(labels[chosen].masked_fill(dropped, no_class))
        return denoising_loss(
            lambda x, t: unet(x, t, encoder_hidden_states=context).sample, latents[chosen], scheduler, generator
        )

    denoiser = fit(torch.nn.ModuleList([unet, classes]), batch_loss, settings, "digits-ldm, U-Net")
    LDMClassPipeline(unet.half(), vqvae.half(), classes.half(), scheduler).save_pretrained(folder)
    return {"first_stage": first_stage, "unet": denoiser}
