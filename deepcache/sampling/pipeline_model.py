"""A diffusers pipeline that makes images from prompts, as a model that samples, times and differentiates."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch
from diffusers import DiffusionPipeline
from torch import nn

from deepcache.caching.schedulers import make_scheduler
from deepcache.models.input_size import height_and_width
from deepcache.runs.families import TEXT_TO_IMAGE
from deepcache.sampler import ANCESTRAL
from deepcache.sampling.model import ImageModel, decoded, differentiable, step_callback
from deepcache.sampling.noise import NoiseInFloat32, drawn, image_generator


class PipelineModel(ImageModel):
    """Stable Diffusion, SDXL and what is called like them. The pipeline's scheduler is replaced at each trajectory.

    Image j is made from prompt j, counted round the list where there are fewer.

    Args:
        pipeline: with a U-Net and a first stage.
        prompts: at least one.
        call: more arguments of the pipeline's call, such as `height` and `negative_prompt`.
    """

    family = TEXT_TO_IMAGE

    def __init__(self, pipeline: DiffusionPipeline, prompts: Sequence, call: Mapping[str, Any] | None = None):
        self._pipeline, self._prompts, self._call = pipeline, prompts, dict(call or {})
        self._scheduler_config = pipeline.scheduler.config
        self._raised: nn.Module | None = None
        self.unet = pipeline.unet.eval()
        height, width = height_and_width(self.unet.config)
        if self._call.get("height"):
            height = self._call["height"] // pipeline.vae_scale_factor
        if self._call.get("width"):
            width = self._call["width"] // pipeline.vae_scale_factor
        self.latent_size = height, width

    def painting(self, prompts: Sequence) -> Self:
        """The same model with other prompts; the networks are shared."""
        other = copy.copy(self)
        other._prompts = prompts
        return other

    def make_latents(self, indices, seed, sampler, on_step=lambda step: None) -> torch.Tensor:  # noqa: D102
        self.family.check(sampler)
        self._pipeline.scheduler = make_scheduler(sampler.name, self._scheduler_config, self._pipeline)
        call = {
            name: [value] * len(indices) if name == "negative_prompt" and isinstance(value, str) else value
            for name, value in self._call.items()
        }
        generators = [image_generator(seed, index) for index in indices]
        noise = drawn(generators, (self.unet.config.in_channels, *self.latent_size))
        ancestral = sampler.name in ANCESTRAL
        with NoiseInFloat32() if ancestral else nullcontext():  # a mode costs time at every call of torch
            return differentiable(self._pipeline)(
                [self._prompts[index % len(self._prompts)] for index in indices],
                guidance_scale=sampler.guidance_scale,
                num_inference_steps=sampler.steps,
                latents=noise.to(self.unet.device, self.unet.dtype),
                output_type="latent",
                callback_on_step_end=step_callback(on_step),
                **call,
                **({"generator": generators} if ancestral else {}),
            ).images

    def decode(self, latents, rounded=True) -> torch.Tensor:  # noqa: D102
        vae, dtype = self._pipeline.vae, self._pipeline.vae.dtype
        # SDXL's first stage overflows in float16; others have the key, too, and their pipelines leave it alone.
        if not (dtype == torch.float16 and vae.config.force_upcast and hasattr(self._pipeline, "text_encoder_2")):
            return self._decoded(vae, latents)
        if latents.requires_grad:
            return self._decoded(self._in_float32(), latents.float())
        try:
            return self._decoded(vae.to(torch.float32), latents.float())
        finally:
            vae.to(dtype)

    def _decoded(self, vae: nn.Module, latents: torch.Tensor) -> torch.Tensor:
        return decoded(self._pipeline.image_processor, vae.decode(latents / vae.config.scaling_factor).sample)

    def _in_float32(self) -> nn.Module:
        """A copy of the first stage that stays so: backward passes read weights when `decode` is long done."""
        if self._raised is None:
            self._raised = copy.deepcopy(self._pipeline.vae).to(torch.float32).requires_grad_(False)
        return self._raised

    def num_steps(self, sampler) -> int:  # noqa: D102
        scheduler = make_scheduler(sampler.name, self._scheduler_config, self._pipeline)
        scheduler.set_timesteps(sampler.steps)
        return len(scheduler.timesteps)
