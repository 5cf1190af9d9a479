"""The rule that picks full steps and weights by itself: what errs least on calibration trajectories that were sampled.

The predicted error of the image holds to first order, and where few full steps are left that is not enough. So what it
proposes is sampled from the calibration's noise and compared with the uncached images, beside the paper's ways and
lines. Holding at uniform steps is among the finalists: what is picked is never worse on the calibration's noise.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from deepcache.beyond.calibration.joint import held_out_error, joint_weights
from deepcache.beyond.calibration.polynomial import polynomial_weights
from deepcache.beyond.calibration.rows import Rows
from deepcache.beyond.calibration.search import additive_steps, search_steps
from deepcache.caching import schedules
from deepcache.caching.engine import DeepCache
from deepcache.caching.weighted import Weighted
from deepcache.errors import DeepCacheError
from deepcache.quality.paired_fidelity import squared_errors
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel
from deepcache.sampling.unrounded import sample_pixels

ORDERS, TRUSTS = (1, 2, 3), (0.3, 1.0, 3.0, 10.0)
SEARCHED = ((1, 1.0), (2, 0.3), (2, 1.0), (3, 1.0))  # orders and trusts of the error by which full steps are searched
GAP = 3  # full steps that are further apart than this many intervals are not where a search begins
LEAST = 1e-9  # a smaller squared error counts as this


@dataclass(frozen=True, eq=False)
class Proposal:
    """Full steps and what stands in at the others.

    Attributes:
        steps: where the full steps come from: `uniform`, `eq7`, `additive`, `searched`.
        prediction: where the weights come from: `hold`, `forecast1`, `joint2`, ...
        full_steps: k of T.
        weights: for each shallow step, full step -> weight of its feature.
        trust: of joint weights, see deepcache.beyond.calibration.joint.
    """

    steps: str
    prediction: str
    full_steps: tuple[int, ...]
    weights: Mapping[int, Mapping[int, float]]
    trust: float | None = None

    @classmethod
    def polynomial(cls, steps: str, full_steps: Sequence[int], num_steps: int, order: int) -> "Proposal":
        """With the weights of a polynomial; order 0 holds."""
        weights = polynomial_weights(full_steps, num_steps, order)
        return cls(steps, f"forecast{order}" if order else "hold", tuple(full_steps), weights)

    @classmethod
    def joint(cls, steps: str, full_steps: Sequence[int], rows: Rows, order: int, trust: float) -> "Proposal":
        """With the weights whose predicted error is least."""
        weights = joint_weights(rows, full_steps, order, trust)
        return cls(steps, f"joint{order}", tuple(full_steps), weights, trust)


class SampledError:
    """Error of cached images against the uncached ones of the same noise: the mean of its logarithm over the images.

    That is the mean of each image's PSNR, turned round: an image that is diverted to another one counts once. Images
    are compared before they are rounded.

    Args:
        model: makes the images.
        sampler: with which.
        branch: where its U-Net is cut, 0-based.
        indices: images to make, in one batch.
        seed: of their noise; apart from the seeds of an evaluation.
        on_sample: called after each batch that was sampled.
    """

    def __init__(
        self,
        model: ImageModel,
        sampler: Sampler,
        branch: int,
        indices: Sequence[int],
        seed: int,
        on_sample: Callable[[], None] = lambda: None,
    ):
        self._model, self._sampler, self._branch = model, sampler, branch
        self._indices, self._seed, self._on_sample = indices, seed, on_sample
        self._uncached = self._sample()
        self._known: dict[Proposal, float] = {}

    def __call__(self, proposal: Proposal) -> float:
        """Sample with the proposal, unless that was done before."""
        if proposal not in self._known:
            reuse = Weighted(proposal.weights)
            with DeepCache(self._model.unet, schedule=proposal.full_steps, branch=self._branch, reuse=reuse) as cache:
                cache.start_trajectory()
                errors = squared_errors(self._sample(), self._uncached)
            self._known[proposal] = float(np.log(np.maximum(errors, LEAST)).mean())
            self._on_sample()
        return self._known[proposal]

    @property
    def measured(self) -> Mapping[Proposal, float]:
        """What was sampled so far and its error."""
        return self._known

    def _sample(self) -> np.ndarray:
        return sample_pixels(self._model, self._indices, self._seed, self._sampler)


def proposals(
    rows: Rows, interval: int, eq7: Iterable[tuple[int, float]] = (), length: int | None = None
) -> Iterator[Proposal]:
    """The paper's ways, lines, and searched steps with joint weights, with as many full steps as the uniform schedule.

    Args:
        rows: of the model, sampler and branch.
        interval: N of the uniform schedule that sets the budget.
        eq7: centres and powers of Eq. 7; those that give no schedule of that many steps are left out.
        length: over how many of the T calls uniform and Eq. 7's steps are laid out, see Sampler.schedule_length; None:
            all.

    Raises:
        DeepCacheError: if the interval does not fit the trajectory.
    """
    steps = rows.num_steps
    length = steps if length is None else length
    even = schedules.uniform(length, interval)
    gap = min(steps, GAP * interval)
    fixed = [("uniform", even), *(("eq7", found) for found in eq7_schedules(length, len(even), eq7))]
    additive = [("additive", additive_steps(rows, len(even), order, gap)) for order in (0, 1)]
    yield from (Proposal.polynomial(name, full, steps, 0) for name, full in [*fixed, additive[0]])
    yield from (Proposal.polynomial(name, full, steps, 1) for name, full in [fixed[0], additive[1]])
    if len(even) == steps:
        return
    seen = set()
    for order, trust in SEARCHED:
        error = partial(held_out_error, rows, order=order, trust=trust)
        for start in dict.fromkeys((even, additive[0][1])):
            found = search_steps(error, start, steps)
            if found not in seen:
                seen.add(found)
                yield Proposal.joint("searched", found, rows, order, trust)


def eq7_schedules(length: int, num_full: int, eq7: Iterable[tuple[int, float]]) -> list[tuple[int, ...]]:
    """The different schedules of Eq. 7 with so many full steps; centres and powers that give none are left out."""
    found = {}
    for center, power in eq7:
        try:
            found[schedules.nonuniform(length, num_full, center, power)] = None
        except DeepCacheError:
            continue
    return list(found)


def choose(
    offered: Iterable[Proposal],
    rows: Rows,
    screen: Callable[[Proposal], float],
    error: Callable[[Proposal], float],
    finalists: int = 6,
    refined: int = 2,
) -> Proposal:
    """The proposal that errs least; of equal ones the first. Of the best steps all orders and trusts are tried.

    Many proposals are compared on a few images; those that do best on them, and the first proposal, are compared again
    on many.

    Args:
        offered: as from `proposals`.
        rows: from which joint weights are made.
        screen: error of a proposal on a few images, such as a `SampledError`.
        error: error of a proposal on many.
        finalists: how many of them are compared on many images.
        refined: of how many schedules all orders and trusts are tried.
    """
    screened = {each: screen(each) for each in offered}  # one by one, between searches
    first = next(iter(screened))
    best = list(dict.fromkeys(each.full_steps for each in sorted(screened, key=screened.get)))[:refined]
    for full in best if len(first.full_steps) < rows.num_steps else []:
        alike = [each for each in screened if each.full_steps == full]
        known = {(each.prediction, each.trust) for each in alike}
        for order, trust in itertools.product(ORDERS, TRUSTS):
            if (f"joint{order}", trust) not in known:
                crossed = Proposal.joint(alike[0].steps, full, rows, order, trust)
                screened[crossed] = screen(crossed)
    kept = sorted(screened, key=screened.get)[:finalists]
    return min([first, *(each for each in kept if each is not first)], key=error)
