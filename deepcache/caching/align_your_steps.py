"""DPM-Solver++ at the timesteps that Align Your Steps (Sabour et al. 2024) found for Stable Diffusion and SDXL."""

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from diffusers.schedulers import AysSchedules

from deepcache.errors import DeepCacheError
from deepcache.sampler import TRAINED

# Other spacings of a checkpoint's own config, which would take the place of these timesteps.
OPTIONS = dict.fromkeys(("use_karras_sigmas", "use_lu_lambdas", "use_exponential_sigmas", "use_beta_sigmas"), False)


class AlignYourSteps(DPMSolverMultistepScheduler):
    """Ten steps are the published ones; other numbers lie between them, as the authors say, by the log of the noise.

    Attributes:
        xl: whether the model is SDXL; else it is taken as Stable Diffusion.
    """

    xl = False

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Settle the timesteps, int64, shape (num_inference_steps,), the noisiest first; at most 1,000 of them."""
        published = AysSchedules["StableDiffusionXLTimesteps" if self.xl else "StableDiffusionTimesteps"]
        nodes = [0, *reversed(published)]
        levels = (0.5 * torch.log((1 - self.alphas_cumprod) / self.alphas_cumprod)).double().numpy()
        places = np.linspace(0, len(published), num_inference_steps + 1)[1:]
        wanted = np.interp(places, np.arange(len(nodes)), levels[nodes])
        timesteps = np.interp(wanted, levels, np.arange(len(levels))).round().astype(int)
        order = np.arange(num_inference_steps)
        apart = np.maximum.accumulate(timesteps - order) + order  # of many some would coincide where they lie densest
        super().set_timesteps(device=device, timesteps=apart[::-1].tolist())


def check(scheduler: AlignYourSteps) -> None:
    """DeepCacheError unless the published timesteps are of the training's."""
    trained = scheduler.config.num_train_timesteps
    if trained != TRAINED:
        raise DeepCacheError(
            f"dpmpp_ays: its timesteps were found for {TRAINED} timesteps of the training, not {trained}: take dpmpp"
        )
