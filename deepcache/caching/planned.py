"""Caching on a pipeline as a plan says: its sampler, its full steps, its weights."""

from deepcache.caching.engine import DeepCache
from deepcache.caching.execution import execution_of
from deepcache.caching.plan import Plan
from deepcache.caching.schedulers import make_scheduler
from deepcache.errors import DeepCacheError


class Planned(DeepCache):
    """See `DeepCache.from_plan`.

    Attributes:
        plan: what is followed.
    """

    def __init__(self, pipe, plan: Plan):
        execution = execution_of(plan.execution)
        super().__init__(
            pipe,
            branch=plan.branch,
            schedule=plan.full_steps,
            reuse=plan.reuse(),
            compile=execution.compile,
            graph=execution.graph,
        )
        if self._pipe is None:
            raise DeepCacheError("a plan says with which sampler: give from_plan the pipeline, not its U-Net")
        plan.check_unet(self.unet)
        self.plan, self._own, self._planned = plan, None, None

    def enable(self) -> "Planned":  # noqa: D102
        if self._own is None:
            self._own = self._pipe.scheduler
            self._pipe.scheduler = self._planned = make_scheduler(self.plan.settings.name, self._own.config)
        try:
            return super().enable()
        except BaseException:
            self._give_back()
            raise

    def disable(self) -> None:  # noqa: D102
        super().disable()
        self._give_back()

    def _give_back(self) -> None:
        if self._own is not None and self._pipe.scheduler is self._planned:
            self._pipe.scheduler = self._own
        self._own = self._planned = None

    def _start(self) -> None:
        taken = len(self._pipe.scheduler.timesteps)
        if self._pipe.scheduler is self._planned and taken != self.plan.num_steps:
            raise DeepCacheError(
                f"this plan is for {self.plan.sampler}: call the pipeline with num_inference_steps="
                f"{self.plan.settings.steps}, or with **plan.options"
            )
        super()._start()
