"""Text-to-image with Stable Diffusion."""

from collections.abc import Sequence
from pathlib import Path

import torch

from deepcache.models.pipeline_parts import load_text_encoders
from deepcache.runs.families import TEXT_TO_IMAGE
from deepcache.sampling.model import ImageModel, decoded, differentiable, step_callback
from deepcache.sampling.noise import initial_noise
from deepcache.sampling.schedulers import make_scheduler

LEFT_OUT = ("safety_checker", "feature_extractor")


class TextToImage(ImageModel):
    """A Stable Diffusion checkpoint: the paper's SD v1.5 and BK-SDM (Table 3).

    Image j is made from prompt j, counted round the list where there are fewer. Without safety checker, as the authors
    ran them: the images that it makes black would enter what is measured.
    """

    family = TEXT_TO_IMAGE

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, prompts: Sequence[str]):
        from diffusers import StableDiffusionPipeline

        encoders = load_text_encoders(folder, dtype, without=LEFT_OUT)
        self._pipeline = StableDiffusionPipeline.from_pretrained(
            folder, dtype=dtype, requires_safety_checker=False, **dict.fromkeys(LEFT_OUT), **encoders
        ).to(device)
        self._pipeline.set_progress_bar_config(disable=True)
        self._prompts = prompts
        self._scheduler_config = self._pipeline.scheduler.config
        self.unet = self._pipeline.unet.eval()
        size = self.unet.config.sample_size
        self._shape = (self.unet.config.in_channels, size, size)

    def make_latents(self, indices, seed, sampler, on_step=lambda step: None) -> torch.Tensor:  # noqa: D102
        self.family.check(sampler)
        self._pipeline.scheduler = make_scheduler(sampler.name, self._scheduler_config)
        return differentiable(self._pipeline)(
            [self._prompts[index % len(self._prompts)] for index in indices],
            guidance_scale=sampler.guidance_scale,
            num_inference_steps=sampler.steps,
            latents=initial_noise(seed, indices, self._shape).to(self.unet.device, self.unet.dtype),
            output_type="latent",
            callback_on_step_end=step_callback(on_step),
        ).images

    def decode(self, latents, rounded=True) -> torch.Tensor:  # noqa: D102
        vae = self._pipeline.vae
        return decoded(self._pipeline.image_processor, vae.decode(latents / vae.config.scaling_factor).sample)

    def num_steps(self, sampler) -> int:  # noqa: D102
        scheduler = make_scheduler(sampler.name, self._scheduler_config)
        scheduler.set_timesteps(sampler.steps)
        return len(scheduler.timesteps)
