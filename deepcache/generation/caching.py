"""How the U-Nets of a generation run."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

from deepcache.caching.engine import DeepCache
from deepcache.caching.execution import Execution
from deepcache.caching.plan import Plan
from deepcache.errors import DeepCacheError
from deepcache.generation.generation import Stage
from deepcache.methods.method import Method
from deepcache.methods.schedule import Place


@dataclass(frozen=True)
class CachedStage:
    """A stage of a trajectory under a method or a plan.

    Attributes:
        stage: which.
        full_steps: those in which its whole U-Net runs.
        applied: a context in which it runs so.
    """

    stage: Stage
    full_steps: Sequence[int]
    applied: AbstractContextManager

    @property
    def counts(self) -> dict:
        """What a record says of it."""
        return {"unet_calls": self.stage.unet_calls, "full_steps": list(self.full_steps)}


@dataclass(frozen=True)
class Caching:
    """What runs how.

    Attributes:
        name: of the method or the plan; it decides the images.
        stages: one after another.
    """

    name: str
    stages: tuple[CachedStage, ...]

    @classmethod
    def of(cls, method: Method, stages: Sequence[Stage], execution: Execution, plan: Plan | None = None) -> "Caching":
        """Every stage under the same method, laid out over the steps that it runs; or the only one under a plan.

        Raises:
            DeepCacheError: if the method does not fit a stage's steps, or the plan is for other weights.
        """
        if plan is None:
            return cls(method.slug, tuple(_under(method, stage, execution, len(stages) > 1) for stage in stages))
        (stage,) = stages
        # Its sampler and steps are the request's, see `Generation`.
        if execution.graph != "auto":
            plan = replace(plan, execution=execution.name)
        cached = CachedStage(stage, plan.full_steps, DeepCache.from_plan(stage.pipeline, plan))
        return cls(f"plan {plan.digest}", (cached,))

    def applied(self) -> ExitStack:
        """A context in which all stages run so."""
        with ExitStack() as stack:
            for cached in self.stages:
                stack.enter_context(cached.applied)
            return stack.pop_all()

    @property
    def counts(self) -> dict:
        """What a record says: calls of the U-Net and full steps, of the first stage and below the names of others."""
        first, *others = self.stages
        return {**first.counts, **{cached.stage.name: cached.counts for cached in others}}

    @property
    def share(self) -> str:
        """How many steps of all are full, in words."""
        full = sum(len(cached.full_steps) for cached in self.stages)
        calls = sum(cached.stage.unet_calls for cached in self.stages)
        return f"{full} of {calls} steps full ({full / calls:.0%})"


def _under(method: Method, stage: Stage, execution: Execution, refined: bool) -> CachedStage:
    try:
        caching = method.resolve(Place(stage.steps, method.branch))
    except DeepCacheError as error:
        if not refined:
            raise
        runs = f"the {stage.name or 'base'} runs {stage.steps} of the steps"
        raise DeepCacheError(f"--refiner: {runs}: {error} (or change --handover)") from error
    if caching.full_steps is None:
        raise DeepCacheError(f"{method.slug} decides while it samples; generate.py needs full steps that are known")
    # PLMS repeats a call that no schedule counts; without caching it is full, too.
    full_steps = caching.full_steps if method.caches else range(stage.unet_calls)
    return CachedStage(stage, full_steps, caching.applied(stage.pipeline, execution))
