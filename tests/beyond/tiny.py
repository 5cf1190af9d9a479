"""A family of image models around the tiny U-Net of the fixtures."""

import numpy as np
import torch
from diffusers import DDIMScheduler

from deepcache import DeepCache
from deepcache.caching.execution import Execution
from deepcache.methods.method import Method
from deepcache.methods.schedule import Place
from deepcache.sampler import Sampler
from deepcache.sampling.ddim import ddim, ddim_timesteps
from deepcache.sampling.model import ImageModel, to_pixels
from deepcache.sampling.noise import initial_noise
from deepcache.sampling.request import Request

STEPS, BRANCH, INDICES, SEED = 12, 2, range(2), 5
SAMPLER = Sampler("ddim", STEPS, "quad")


class TinyModel(ImageModel):
    """Samples of a U-Net, spread over all 256 levels so that small errors show; counts the trajectories."""

    def __init__(self, unet):
        self.unet, self.trajectories = unet, 0

    def make_latents(self, indices, seed, sampler, on_step=lambda step: None):
        self.trajectories += 1
        alphas = DDIMScheduler().alphas_cumprod.double()
        return ddim(
            lambda x, t: self.unet(x, t).sample,
            initial_noise(seed, indices, (1, 16, 16)),
            ddim_timesteps(sampler.steps, sampler.spacing),
            alphas,
            on_step=on_step,
        )

    def decode(self, latents, rounded=True):
        return to_pixels(latents / 3)


MANIFEST = {"name": "tiny", "sha256": {"unet/model.safetensors": "0" * 64}}


def asked(model, seed: int) -> Request:
    """A request to the model."""
    place = Place(STEPS, BRANCH)
    caching, eager = Method().resolve(place), Execution()
    return Request(model, MANIFEST, None, SAMPLER, Method(), caching, seed, torch.device("cpu"), "float32", eager)


def sampled(model, full_steps, reuse, seed: int = SEED) -> np.ndarray:
    """Images with caching."""
    with DeepCache(model.unet, schedule=full_steps, branch=BRANCH, reuse=reuse) as cache:
        cache.start_trajectory()
        return model.sample(INDICES, seed, SAMPLER)
