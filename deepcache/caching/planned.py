"""The sampler of a plan, on a pipeline while caching is enabled."""

from deepcache.caching.plan import Plan
from deepcache.caching.schedulers import make_scheduler
from deepcache.errors import DeepCacheError


class PlannedSampler:
    """Takes the place of a pipeline's scheduler.

    Args:
        pipe: a diffusers pipeline.
        plan: what says which sampler, and of how many steps.
    """

    def __init__(self, pipe, plan: Plan):
        self._pipe, self._plan = pipe, plan
        self._own = self._scheduler = None

    def put(self) -> None:
        """Give the pipeline the plan's sampler."""
        self._own = self._pipe.scheduler
        self._pipe.scheduler = self._scheduler = make_scheduler(self._plan.settings.name, self._own.config, self._pipe)

    def take_back(self) -> None:
        """Give the pipeline its own one again, unless somebody put in another; harmless where nothing was put."""
        if self._own is not None and self._pipe.scheduler is self._scheduler:
            self._pipe.scheduler = self._own
        self._own = self._scheduler = None

    def check(self) -> None:
        """At the start of a trajectory: DeepCacheError unless it has the plan's number of steps."""
        scheduler = self._pipe.scheduler
        if scheduler is self._scheduler and len(scheduler.timesteps) != self._plan.num_steps:
            raise DeepCacheError(
                f"this plan is for {self._plan.sampler}: call the pipeline with num_inference_steps="
                f"{self._plan.settings.steps}, or with **plan.options"
            )
