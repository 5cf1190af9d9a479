"""The search: from many ways on a few images to the best ones on many, with weights of their own."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from deepcache.beyond.calibration.joint import held_out_error, joint_weights
from deepcache.beyond.calibration.rows import Rows
from deepcache.beyond.calibration.search import search_steps
from deepcache.beyond.tuning.aside import rows_aside
from deepcache.beyond.tuning.candidate import FEWEST_FULL, Candidate, affordable, lengths, polynomial
from deepcache.beyond.tuning.costs import Costs
from deepcache.beyond.tuning.judged import Judge, Judgement
from deepcache.beyond.tuning.kept import Kept
from deepcache.errors import DeepCacheError
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel

SAMPLERS = ("dpmpp", "dpmpp_ays", "unipc", "ddim", "plms", "euler")  # that a model may have
SAMPLERS_KEPT = 2  # how many of them are looked at closely
JUDGED_AGAIN = 6  # how many of the ways do best on a few images and are judged on many
WEIGHTED = 3  # of how many ways full steps and weights are searched
# Orders and trusts of weights at even full steps, which are to make up for the sampler's error, too: steps that are
# searched for that as well fit the recorded images alone.
EVEN = ((1, 0.3), (1, 1.0), (2, 0.3), (2, 1.0), (3, 1.0))
SEARCHED = ((1, 1.0), (2, 0.3))  # at searched full steps
LINE = 1
TRIES = 1500  # schedules that a search judges
PARTS = ("products", "images", "elements", "aside")  # of rows


@dataclass(frozen=True)
class Effort:
    """How much is looked at.

    Attributes:
        screened: images on which every candidate is judged.
        images: on which the best are.
        recorded: images of whose trajectories rows are made.
        probes: of each.
        at_once: images in a batch; of those that are recorded, the features of all steps are in memory.
        minutes: after which nothing new is begun.
        seed: of the images' noise; the next one is that of what is recorded.
    """

    screened: int = 6
    images: int = 24
    recorded: int = 16
    probes: int = 2
    at_once: int = 8
    minutes: float = 10.0
    seed: int = 7001


@dataclass(frozen=True)
class Tried:
    """A candidate and how it was judged."""

    candidate: Candidate
    judged: Judgement


class Tuner:
    """Looks for the candidate with the least error at a cost.

    Args:
        model: what is tuned.
        converged: sampler of many steps, whose images are the aim.
        costs: of a step.
        effort: how much is looked at.
        kept: of an earlier attempt.
        on_tried: called with each candidate that was judged.
        on_stage: called with what takes longer than judging one, before it begins.
    """

    def __init__(
        self,
        model: ImageModel,
        converged: Sampler,
        costs: Costs,
        effort: Effort,
        kept: Kept,
        on_tried: Callable[[Tried], None] = lambda tried: None,
        on_stage: Callable[[str], None] = lambda stage: None,
    ):
        self._model, self._guidance, self._costs, self._effort = model, converged.guidance_scale, costs, effort
        self._kept, self._on_tried, self._on_stage = kept, on_tried, on_stage
        self._judge = Judge(model, converged, effort.seed, effort.at_once, kept.get("converged"))
        self._aim = Judge(model, converged, effort.seed + 1, effort.at_once)
        self._deadline = time.monotonic() + 60 * effort.minutes

    def search(self, budget: float, most: int) -> list[Tried]:
        """What was tried, the best first; those judged on many images come before the others.

        Args:
            budget: cost that none may exceed, in the unit of the costs.
            most: steps that a trajectory may have.
        """
        grid = {name: list(self._grid(name, budget, most)) for name in SAMPLERS if name in self._model.family.samplers}
        few = self._effort.screened
        first = {name: self._judged(found[:: max(1, len(found) // 3)], few) for name, found in grid.items() if found}
        names = sorted(first, key=lambda name: _best(first[name]), reverse=True)[:SAMPLERS_KEPT]
        screened = [one for name in names for one in self._judged(grid[name], few)]
        screened += [one for name in first if name not in names for one in first[name]]
        best = [one.candidate for one in sorted(screened, key=_mean, reverse=True)[:JUDGED_AGAIN]]
        judged = self._judged(best, self._effort.images)
        for candidate in _worth_weights(judged, screened):
            few_of_it, many_of_it = self._with_weights(candidate)
            screened, judged = screened + few_of_it, judged + many_of_it
        many = {one.candidate for one in judged}
        rest = [one for one in dict.fromkeys(screened) if one.candidate not in many]
        return sorted(judged, key=_mean, reverse=True) + sorted(rest, key=_mean, reverse=True)

    def again(self, candidate: Candidate, budget: float) -> list[Tried]:
        """The same sampler, number of steps and branch at another budget, the best first; nothing where too small."""
        full = self._costs.full_steps(budget, candidate.steps, candidate.branch)
        if full < FEWEST_FULL:
            return []
        line = polynomial(candidate.sampler, candidate.steps, candidate.branch, full, LINE, self._costs)
        judged = self._judged([line], self._effort.images)
        if line.caches:
            judged += self._with_weights(line)[1]
        return sorted(judged, key=_mean, reverse=True)

    def _with_weights(self, line: Candidate) -> tuple[list[Tried], list[Tried]]:
        """With weights of its own instead of a line's: on a few images, and the best on many."""
        screened = self._judged(self._weighted(line), self._effort.screened)
        top = [one.candidate for one in sorted(screened, key=_mean, reverse=True)[:2]]
        return screened, self._judged(top, self._effort.images)

    def _grid(self, name: str, budget: float, most: int) -> Iterator[Candidate]:
        """What a sampler can do within the budget, features on lines."""

        def sampler_of(steps: int) -> Sampler:
            return Sampler(name, steps, guidance_scale=self._guidance)

        def calls_of(steps: int) -> float:
            """Of the U-Net; by CompVis's stride some numbers begin beyond the training's timesteps and are no way."""
            try:
                return self._model.num_steps(sampler_of(steps))
            except DeepCacheError:
                return math.inf

        for steps in lengths(self._costs, budget, most, calls_of):
            sampler, calls = sampler_of(steps), calls_of(steps)
            if calls == math.inf:
                continue
            for branch, full in affordable(self._costs, budget, sampler, calls, list(self._costs.shallow)):
                yield polynomial(sampler, calls, branch, full, LINE, self._costs)

    def _judged(self, candidates: Iterable[Candidate], images: int) -> list[Tried]:
        """As many as there is time for; at least one."""
        found = []
        for candidate in candidates:
            if found and time.monotonic() > self._deadline:
                break
            name = f"judged {candidate.digest} {images}"
            values = self._kept.value(name, lambda candidate=candidate: asdict(self._judge(candidate, images)))
            if self._judge.converged is not self._kept.get("converged"):
                self._kept.set("converged", self._judge.converged)
            found.append(Tried(candidate, Judgement(**values)))
            self._on_tried(found[-1])
        return found

    def _weighted(self, like: Candidate) -> Iterator[Candidate]:
        rows = self._rows(like.sampler, like.branch)
        self._on_stage(f"weights of {like.sampler.slug}")
        for order, trust in EVEN:
            yield self._joint(like, like.full_steps, rows, order, trust)
        uncached = replace(rows, aside=None)
        for order, trust in SEARCHED:
            error = partial(held_out_error, uncached, order=order, trust=trust)
            name = f"steps {like.digest} {order} {trust}"
            found = self._kept.value(name, lambda error=error: search_steps(error, like.full_steps, like.steps, TRIES))
            yield self._joint(like, tuple(found), uncached, order, trust)

    @staticmethod
    def _joint(like: Candidate, full_steps: tuple[int, ...], rows: Rows, order: int, trust: float) -> Candidate:
        weights = joint_weights(rows, full_steps, order, trust)
        return replace(like, full_steps=full_steps, prediction=f"joint{order}", weights=weights)

    def _rows(self, sampler: Sampler, branch: int | str) -> Rows:
        effort, name = self._effort, f"{sampler.slug} b{branch}"
        if self._kept.get(f"{name} {PARTS[-1]}") is None:  # the last that is kept
            self._on_stage(f"backward passes of {sampler.slug}")
            size, count = max(1, effort.at_once // 2), effort.recorded
            batches = [range(start, min(start + size, count)) for start in range(0, count, size)]
            aim = self._kept.array("aim", lambda: self._aim.converge(count))
            rows = rows_aside(self._model, sampler, branch, batches, effort.seed + 1, effort.probes, aim)
            for what in PARTS:
                self._kept.set(f"{name} {what}", np.asarray(getattr(rows, what)))
        products, images, elements, aside = (self._kept.get(f"{name} {what}") for what in PARTS)
        return Rows(products, images, int(elements), aside)


def _worth_weights(judged: Sequence[Tried], screened: Sequence[Tried]) -> list[Candidate]:
    """The best that caches, and of each number of full steps' share the best: sparse ones gain most by weights."""
    cached = [one.candidate for one in sorted([*judged, *screened], key=_mean, reverse=True) if one.candidate.caches]
    best = {}
    for candidate in cached:
        best.setdefault(candidate.steps, candidate)
    sparse = sorted(best.values(), key=lambda one: len(one.full_steps) / one.steps)
    return list(dict.fromkeys([*cached[:1], *sparse]))[:WEIGHTED]


def _mean(tried: Tried) -> float:
    return tried.judged.mean


def _best(tried: Sequence[Tried]) -> float:
    return max(map(_mean, tried))
