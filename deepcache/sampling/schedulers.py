"""diffusers' schedulers by the names that samplers have in a run's path."""

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    SchedulerMixin,
)

from deepcache.runs.sampler import check_name

RUNGE_KUTTA = "pndm"
SCHEDULERS = {
    # Latents are not confined to [-1, 1]: Stable Diffusion's config says so, one written by PNDM is silent.
    "ddim": (DDIMScheduler, {"clip_sample": False}),
    # Without the Runge-Kutta steps PNDM is PLMS, the paper's sampler: T + 1 passes for T steps.
    "plms": (PNDMScheduler, {"skip_prk_steps": True}),
    # With them: three steps of four passes each, then as PLMS; T + 9 passes.
    RUNGE_KUTTA: (PNDMScheduler, {"skip_prk_steps": False}),
    "dpmpp": (DPMSolverMultistepScheduler, {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "euler": (EulerDiscreteScheduler, {}),
    "lms": (LMSDiscreteScheduler, {}),
}


def make_scheduler(name: str, config: dict) -> SchedulerMixin:
    """A fresh scheduler with a checkpoint's betas and offsets; DeepCacheError where the name is unknown."""
    check_name(name)
    scheduler, options = SCHEDULERS[name]
    return scheduler.from_config(config, **options)
