"""Schedulers by the names that a user gives."""

from diffusers import PNDMScheduler, SchedulerMixin

from deepcache.sampling.schedulers import make_scheduler

RUNGE_KUTTA = "pndm"
# Name on the command line -> name in deepcache.sampling.schedulers.
SCHEDULERS = {"ddim": "ddim", "plms": "plms", "dpm++": "dpmpp", "euler": "euler", "lms": "lms"}
SCHEDULER_NAMES = ("ddim", RUNGE_KUTTA, *(name for name in SCHEDULERS if name != "ddim"))


def pipeline_scheduler(name: str, config: dict) -> SchedulerMixin:
    """A fresh scheduler with a checkpoint's betas and offsets; `name` is one of SCHEDULER_NAMES."""
    if name == RUNGE_KUTTA:
        return PNDMScheduler.from_config(config, skip_prk_steps=False)
    return make_scheduler(SCHEDULERS[name], config)
