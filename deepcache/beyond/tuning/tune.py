"""From a budget to a plan."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from deepcache.beyond.tuning.budget import Budget
from deepcache.beyond.tuning.candidate import Candidate
from deepcache.beyond.tuning.costs import Costs, count_costs, measure_costs
from deepcache.beyond.tuning.judged import Judgement
from deepcache.beyond.tuning.kept import Kept
from deepcache.beyond.tuning.trajectories import Trajectories
from deepcache.beyond.tuning.tuner import Effort, Tried, Tuner
from deepcache.caching.branches import OUTPUT, num_branches
from deepcache.caching.execution import execution_of
from deepcache.caching.fingerprint import fingerprint
from deepcache.caching.plan import Plan
from deepcache.cost.timing import measure
from deepcache.quality.partial import Partial
from deepcache.sampler import TRAINED, Sampler
from deepcache.sampling.model import ImageModel

BRANCHES = 4  # the outermost ones that are tried: from there on a shallow step hardly saves anything
CONVERGED = 5  # times the usual steps
NEAR = (0.92, 1.03)  # of the time that was asked for: outside it is looked again
AGAIN = 2
OFF = 1.25  # more than that is another program's doing
REPEATS = 5


@dataclass(frozen=True)
class Tuned:
    """What was found.

    Attributes:
        budget: what was asked for.
        usual: the sampler that it is compared with, uncached.
        usual_calls: of the U-Net in its trajectory.
        costs: of a step, in seconds for a batch or G MACs for an image.
        tried: the best first.
        seconds: of a batch, measured beside each other: usual, and the best.
        batch_size: images of a batch.
    """

    budget: Budget
    usual: Sampler
    usual_calls: int
    costs: Costs
    tried: tuple[Tried, ...]
    seconds: tuple[float, float]
    batch_size: int

    @property
    def best(self) -> Candidate:
        """What has the least error."""
        return self.tried[0].candidate

    @property
    def judged(self) -> Judgement:
        """Its error."""
        return self.tried[0].judged

    @property
    def speedup(self) -> float:
        """Measured."""
        usual, best = self.seconds
        return usual / best

    def plan(self, model: ImageModel, name: str, precision: str, sha256: Mapping[str, str], execution: str) -> Plan:
        """The best as a plan.

        Args:
            model: that was tuned.
            name: of its checkpoint or pipeline.
            precision: of its weights, such as `float32`.
            sha256: of its weight files, by name, where they are known.
            execution: how passes ran.
        """
        best = self.best
        return Plan(
            model=name,
            sha256=sha256,
            unet=fingerprint(model.unet),
            sampler=best.sampler.slug,
            num_steps=best.steps,
            branch=best.branch,
            precision=precision,
            full_steps=best.full_steps,
            weights=best.weights if best.caches else {},
            execution=execution,
            calibration={
                "budget": self.budget.words,
                "usual": self.usual.slug,
                "batch_size": self.batch_size,
                "prediction": best.prediction,
                "psnr_mean_db": self.judged.mean,
                "psnr_p10_db": self.judged.tenth,
                "seconds_usual": self.seconds[0],
                "seconds": self.seconds[1],
                "speedup": self.speedup,
            },
        )


def tune_model(
    model: ImageModel,
    usual: Sampler,
    budget: Budget,
    device: torch.device,
    *,
    batch_size: int = 1,
    execution: str = "auto",
    effort: Effort | None = None,
    partial: Partial | None = None,
    on_tried: Callable[[Tried], None] = lambda tried: None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> Tuned:
    """Look for the sampler, steps, branch, full steps and weights that err least at a cost.

    The error is that to the converged solution, so that fewer steps and caching are judged alike.

    Args:
        model: what is tuned; its images are made from noises of `effort.seed` and the next one.
        usual: sampler with the number of steps that a speed-up counts from, and the guidance scale.
        budget: what may be spent.
        device: where the model runs.
        batch_size: images at a time, for the measured times.
        execution: how passes run, see deepcache.execution_modes, or `auto`.
        effort: how much is looked at.
        partial: keeps what was found out until all is, so that a search that is stopped goes on.
        on_tried: called with each candidate that was judged.
        on_stage: called with what is done next, in words.

    Raises:
        DeepCacheError: if the budget cannot be reached, the message says what can be; or the U-Net cannot be cut.
    """
    effort = effort or Effort()
    kept = Kept(partial)
    branches = places(model.unet)
    how = execution_of(execution)
    on_stage("what a step costs")
    costs = kept.value("costs", lambda: vars(_costs(model, usual, budget, branches, batch_size, device, how)))
    costs = Costs.parse(costs)
    calls = model.num_steps(usual)
    limit = budget.limit(costs, calls, batch_size)
    converged = converged_sampler(usual)
    on_stage(f"ways, and the images of {converged.slug}")
    tuner = Tuner(model, converged, costs, effort, kept, on_tried, on_stage)
    tried = tuner.search(limit, usual.steps)
    for left in reversed(range(1 + AGAIN)):
        best = tried[0].candidate
        on_stage("times beside each other")
        seconds = _measured(model, usual, best, batch_size, device, how)
        wanted = seconds[0] / budget.speedup if budget.speedup else (budget.seconds or 0) * batch_size
        if not left or not wanted or within(seconds[1] / wanted):
            break
        limit *= min(max(wanted / seconds[1], 1 / OFF), OFF)  # the model of costs is off by so much
        tried = [*(tuner.again(best, limit) or tuner.search(limit, usual.steps)), *tried]
    known: dict[str, Tried] = {}
    for one in tried:  # the pick first
        known.setdefault(one.candidate.digest, one)
    return Tuned(budget, usual, calls, costs, tuple(known.values()), seconds, batch_size)


def places(unet: nn.Module) -> list[int | str]:
    """Where a U-Net may be cut: at its outermost branches, and at its output."""
    return [*range(min(BRANCHES, num_branches(unet))), OUTPUT]


def converged_sampler(usual: Sampler) -> Sampler:
    """The one whose images are aimed at: many steps of DDIM."""
    steps = min(CONVERGED * usual.steps, TRAINED // 2)
    return Sampler("ddim", steps, guidance_scale=usual.guidance_scale)


def _costs(model, usual, budget: Budget, branches, batch_size: int, device: torch.device, how) -> Costs:
    if budget.macs is not None:
        return count_costs(model, usual, branches)
    return measure_costs(model, usual, branches, batch_size, device, how)


def within(share: float) -> bool:
    """Whether a measured time is near enough to the one that was asked for."""
    return NEAR[0] <= share <= NEAR[1]


def _measured(model, usual, best: Candidate, batch_size: int, device: torch.device, how) -> tuple[float, float]:
    """Seconds of a batch of the usual and of the best, beside each other."""
    known = Trajectories(model, batch_size, how)
    run = known.uncached(best.sampler)
    if best.caches:
        run = known.cached(best.sampler, best.full_steps, best.branch, best.weights)
    found = measure({"usual": known.uncached(usual), "best": run}, REPEATS, device)
    return found["usual"].median, found["best"].median
