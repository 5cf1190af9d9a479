"""Full steps and weights of kept features that a calibration chose, read from its plan."""

from dataclasses import dataclass

from deepcache.caching import schedules
from deepcache.errors import DeepCacheError
from deepcache.methods.schedule import NamedSchedule, Place, Resolved


@dataclass(frozen=True)
class Chosen(NamedSchedule):
    """As many full steps as the uniform schedule of the same N; a plan says which, and how features are weighted."""

    name = "chosen"
    takes_plan = True

    @property
    def label(self) -> str:  # noqa: D102
        return f"chosen, N = {self.interval}"

    def full_steps(self, num_steps: int) -> tuple[int, ...]:  # noqa: D102
        raise DeepCacheError(f"the full steps of {self.slug} stand in a plan: give it with --plan")

    def num_full(self, num_steps: int) -> int:  # noqa: D102
        return len(schedules.uniform(num_steps, self.interval))

    def resolve(self, place: Place) -> Resolved:  # noqa: D102
        from deepcache.caching.plan import read_plan

        if place.plan is None:
            self.full_steps(place.num_steps)
        plan = read_plan(place.plan, place.manifest, place.sampler, place.branch)
        wanted, found = self.num_full(place.num_steps), len(plan.full_steps)
        if found != wanted:
            raise DeepCacheError(f"{place.plan}: this plan has {found} full steps, {self.slug} has {wanted}")
        return Resolved(plan.full_steps, plan.reuse)
