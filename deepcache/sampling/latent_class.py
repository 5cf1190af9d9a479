"""Class-conditional latent diffusion."""

from pathlib import Path

import torch

from deepcache.runs.families import LATENT_CLASS
from deepcache.sampling.dpm_solver import make_dpm_solver
from deepcache.sampling.model import ImageModel, decoded, differentiable, step_callback
from deepcache.sampling.noise import image_seed, initial_noise


class LatentClass(ImageModel):
    """A latent diffusion model with class labels and guidance: the paper's LDM-4-G (Table 1), `digits-ldm`.

    Labels are drawn uniformly at random, as in the paper; that of image j depends on (seed, j) alone.
    """

    family = LATENT_CLASS
    context_tokens = 1  # the class

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype):
        from deepcache.models.ldm_pipeline import LDMClassPipeline

        self._pipeline = LDMClassPipeline.from_pretrained(folder, dtype=dtype).to(device)
        self._pipeline.set_progress_bar_config(disable=True)
        self._ddim = self._pipeline.scheduler
        self.unet = self._pipeline.unet.eval()
        size = self.unet.config.sample_size
        self._shape = (self.unet.config.in_channels, size, size)

    def labels(self, seed: int, indices) -> list[int]:
        """Class of each image, from 0."""
        return [image_seed(seed, index, "label") % self._pipeline.num_classes for index in indices]

    def make_latents(self, indices, seed, sampler, on_step=lambda step: None) -> torch.Tensor:  # noqa: D102
        self._choose_scheduler(sampler)
        return differentiable(self._pipeline)(
            self.labels(seed, indices),
            guidance_scale=sampler.guidance_scale,
            num_inference_steps=sampler.steps,
            latents=initial_noise(seed, indices, self._shape),
            output_type="latent",
            callback_on_step_end=step_callback(on_step),
        ).images

    def decode(self, latents, rounded=True) -> torch.Tensor:  # noqa: D102
        return decoded(self._pipeline.image_processor, self._pipeline.decode(latents, rounded))

    def num_steps(self, sampler) -> int:  # noqa: D102
        self._choose_scheduler(sampler)
        return len(self._pipeline.choose_timesteps(sampler.steps)) if sampler.name == "ddim" else sampler.steps

    def _choose_scheduler(self, sampler) -> None:
        self.family.check(sampler)
        own = sampler.name == "ddim"
        self._pipeline.scheduler = self._ddim if own else make_dpm_solver(sampler.steps, self._ddim.config)
