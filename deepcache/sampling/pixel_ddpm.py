"""Unconditional U-Nets in pixel space."""

from pathlib import Path

import torch

from deepcache.runs.families import PIXEL
from deepcache.sampling.ddim import ddim, ddim_timesteps
from deepcache.sampling.dpm_solver import dpm_solver
from deepcache.sampling.model import ImageModel, part_folder, to_pixels
from deepcache.sampling.noise import initial_noise


class PixelDDPM(ImageModel):
    """A DDPM (Ho et al. 2020): the paper's CIFAR-10 and LSUN models (Table 2), `digits-ddpm`."""

    family = PIXEL

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype):
        from diffusers import DDIMScheduler, UNet2DModel

        self.unet = UNet2DModel.from_pretrained(part_folder(folder, "unet"), dtype=dtype).to(device).eval()
        scheduler = DDIMScheduler.from_pretrained(part_folder(folder, "scheduler"))
        self._scheduler_config, self._alphas_cumprod = scheduler.config, scheduler.alphas_cumprod.double()
        size = self.unet.config.sample_size
        self._shape = (self.unet.config.in_channels, size, size)

    def make_latents(self, indices, seed, sampler, on_step=lambda step: None) -> torch.Tensor:  # noqa: D102
        self.family.check(sampler)
        x = initial_noise(seed, indices, self._shape).to(self.unet.device)
        if sampler.name == "dpmpp":
            return dpm_solver(self._predict_noise, x, sampler.steps, self._scheduler_config, on_step=on_step)
        timesteps = ddim_timesteps(sampler.steps, sampler.spacing, len(self._alphas_cumprod))
        return ddim(self._predict_noise, x, timesteps, self._alphas_cumprod, on_step=on_step)

    def decode(self, latents, rounded=True) -> torch.Tensor:  # noqa: D102
        return to_pixels(latents)

    def _predict_noise(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.unet(x.to(self.unet.dtype), t).sample.float()
