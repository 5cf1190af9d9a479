"""Schedulers by the names that a user gives."""

from diffusers import SchedulerMixin

from deepcache.sampling.schedulers import make_scheduler

RUNGE_KUTTA = "pndm"
# Name on the command line -> name in deepcache.sampling.schedulers.
SCHEDULERS = {"ddim": "ddim", RUNGE_KUTTA: "pndm", "plms": "plms", "dpm++": "dpmpp", "euler": "euler", "lms": "lms"}
SCHEDULER_NAMES = tuple(SCHEDULERS)


def pipeline_scheduler(name: str, config: dict) -> SchedulerMixin:
    """A fresh scheduler with a checkpoint's betas and offsets; `name` is one of SCHEDULER_NAMES."""
    return make_scheduler(SCHEDULERS[name], config)
