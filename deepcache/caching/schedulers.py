"""diffusers' schedulers by the names that samplers have in a run's path."""

import functools

import torch
from diffusers import (
    DDIMScheduler,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)

from deepcache.caching import align_your_steps
from deepcache.caching.timesteps import in_one_array, moved
from deepcache.sampler import check_name


def _reading_on_host(kind: type[SchedulerMixin]) -> type[SchedulerMixin]:
    """A scheduler whose `step` looks its timestep up in tables on the host, and which knows the timestep there, too.

    diffusers' own would fetch it from the device, and so wait for that, several times a step.
    """

    class OnHost(kind):
        _array, _numbers = None, ()

        def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
            super().set_timesteps(num_inference_steps)
            self._numbers = self.timesteps.tolist()
            self.timesteps = self._array = self.timesteps.to(device)

        @functools.wraps(kind.step)  # pipelines ask for its arguments
        def step(self, model_output, timestep, *args, **kwargs):
            if in_one_array(timestep, self._array):
                timestep = self._numbers[moved(self._array, timestep)]
            return super().step(model_output, timestep, *args, **kwargs)

    return functools.wraps(kind, updated=())(OnHost)


RUNGE_KUTTA = "pndm"
DPM_SOLVER = {"algorithm_type": "dpmsolver++", "solver_order": 2}
SCHEDULERS = {
    # Latents are not confined to [-1, 1]: Stable Diffusion's config says so, one written by PNDM is silent.
    "ddim": (_reading_on_host(DDIMScheduler), {"clip_sample": False}),
    # Without the Runge-Kutta steps PNDM is PLMS, the paper's sampler: T + 1 passes for T steps.
    "plms": (_reading_on_host(PNDMScheduler), {"skip_prk_steps": True}),
    # With them: three steps of four passes each, then as PLMS; T + 9 passes.
    RUNGE_KUTTA: (_reading_on_host(PNDMScheduler), {"skip_prk_steps": False}),
    "dpmpp": (DPMSolverMultistepScheduler, DPM_SOLVER),
    "dpmpp_ays": (align_your_steps.AlignYourSteps, DPM_SOLVER | align_your_steps.OPTIONS),
    "unipc": (UniPCMultistepScheduler, {}),
    # diffusers' own reads the logarithm of every sigma from the device, where timesteps are continuous.
    "euler": (_reading_on_host(EulerDiscreteScheduler), {}),
    "euler_a": (EulerAncestralDiscreteScheduler, {}),
    "lms": (LMSDiscreteScheduler, {}),
}


def make_scheduler(name: str, config: dict, pipe: DiffusionPipeline | None = None) -> SchedulerMixin:
    """A fresh scheduler with a checkpoint's betas and offsets.

    Args:
        name: of a sampler.
        config: of the checkpoint's own scheduler.
        pipe: whose scheduler it is to be.

    Raises:
        DeepCacheError: if the name is unknown, or the sampler is not for these timesteps of the training.
    """
    check_name(name)
    kind, options = SCHEDULERS[name]
    scheduler = kind.from_config(config, **options)
    if isinstance(scheduler, align_your_steps.AlignYourSteps):
        align_your_steps.check(scheduler)
        scheduler.xl = hasattr(pipe, "text_encoder_2")
    return scheduler
