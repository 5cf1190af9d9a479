"""Models that make images, one class for each family; a checkpoint says by its pipeline class which one it is."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from deepcache.errors import DeepCacheError
from deepcache.results.files import UNREADABLE
from deepcache.results.runs import Sampler
from deepcache.sampling.ddim import ddim, ddim_timesteps
from deepcache.sampling.noise import initial_noise


class ImageModel(ABC):
    """A model whose `unet` can be cached and that makes the images of given indices."""

    unet: torch.nn.Module

    @abstractmethod
    def sample(
        self, indices: Sequence[int], seed: int, sampler: Sampler, on_step: Callable[[int], None] = lambda step: None
    ) -> np.ndarray:
        """Make images, uint8, shape (len(indices), H, W, C); image j depends on (seed, j) alone, but for rounding.

        The caller starts the cache's trajectory. `on_step` is called after each step of the sampler.
        """


class PixelDDPM(ImageModel):
    """An unconditional U-Net in pixel space (DDPM): the paper's CIFAR-10 and LSUN models, `digits-ddpm`."""

    def __init__(self, folder: Path, device: torch.device):
        from diffusers import DDIMScheduler, UNet2DModel

        self.unet = UNet2DModel.from_pretrained(_part(folder, "unet")).float().eval().to(device)
        self._alphas_cumprod = DDIMScheduler.from_pretrained(_part(folder, "scheduler")).alphas_cumprod.double()
        size = self.unet.config.sample_size
        self._shape = (self.unet.config.in_channels, size, size)

    def sample(self, indices, seed, sampler, on_step=lambda step: None) -> np.ndarray:  # noqa: D102
        x = initial_noise(seed, indices, self._shape).to(self.unet.device)
        timesteps = ddim_timesteps(sampler.steps, sampler.spacing, len(self._alphas_cumprod))
        x = ddim(lambda x, t: self.unet(x, t).sample, x, timesteps, self._alphas_cumprod, on_step=on_step)
        return to_uint8(x)


def _part(folder: Path, name: str) -> Path:
    """A part of a pipeline has a folder of its own, but in early repositories such as google/ddpm-cifar10-32."""
    return folder / name if (folder / name).is_dir() else folder


def to_uint8(x: torch.Tensor) -> np.ndarray:
    """Quantise once, by rounding: (B, C, H, W) in [-1, 1] to uint8 (B, H, W, C); what lies outside is clipped."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


# Pipeline class in the checkpoint's model_index.json -> family.
FAMILIES = {"DDPMPipeline": PixelDDPM, "DDIMPipeline": PixelDDPM}


def load_model(folder: str | Path, device: str | torch.device) -> ImageModel:
    """Load a checkpoint in diffusers' format, in evaluation mode and float32.

    Raises:
        DeepCacheError: if the folder is no such checkpoint or of a family that is not known.
    """
    index = Path(folder) / "model_index.json"
    try:
        kind = json.loads(index.read_text())["_class_name"]
    except UNREADABLE as error:
        raise DeepCacheError(f"{index}: cannot be read as a diffusers pipeline ({error})") from error
    if kind not in FAMILIES:
        raise DeepCacheError(f"{index}: {kind} is not among the known pipelines ({', '.join(FAMILIES)})")
    return FAMILIES[kind](Path(folder), torch.device(device))
