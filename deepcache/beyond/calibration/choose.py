"""The rule that picks full steps and weights by itself: what errs least on calibration trajectories that were sampled.

The summed residual of the feature only proposes: an error made at one step weighs more in the sample than at another,
and the features of a cached trajectory are no longer those that were recorded. So each proposal is sampled from the
calibration's noise and compared with the uncached samples. Holding at uniform steps is among the proposals: what is
picked is never worse on the calibration's noise. (Moving single full steps of what was picked, as long as the error of
16 such samples fell, gained a decibel there and nothing on fresh noise.)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepcache.beyond.caching.weighted import Weighted
from deepcache.beyond.calibration.optimise import best_steps
from deepcache.beyond.calibration.residuals import Predictor
from deepcache.caching import schedules
from deepcache.caching.engine import DeepCache
from deepcache.errors import DeepCacheError
from deepcache.quality.paired_fidelity import squared_errors
from deepcache.runs.sampler import Sampler
from deepcache.sampling.model import ImageModel

PREDICTORS = (Predictor(0), Predictor(1), Predictor(2), Predictor(1, fitted=True), Predictor(2, fitted=True))
GAP = 3  # full steps that are further apart than this many intervals are not considered: for the time it takes


@dataclass(frozen=True)
class Proposal:
    """Full steps and what stands in at the others.

    Attributes:
        name: where the steps come from: `uniform`, `eq7`, `optimised`.
        full_steps: k of T.
        predictor: how the weights are made.
    """

    name: str
    full_steps: tuple[int, ...]
    predictor: Predictor

    def weights(self, gram: np.ndarray) -> dict[int, dict[int, float]]:
        """For each shallow step, full step -> weight of its feature, as `Plan` and `Weighted` take them.

        Args:
            gram: G, shape (T, T).
        """
        found = {}
        for i, (last, end) in enumerate(zip(self.full_steps, [*self.full_steps[1:], len(gram)], strict=True)):
            nodes = self.full_steps[max(0, i - self.predictor.order) : i + 1]
            steps = range(last + 1, end)
            for step, row in zip(steps, self.predictor.weights(gram, nodes, steps) if steps else (), strict=True):
                found[step] = dict(zip(nodes, row.tolist(), strict=True))
        return found


class SampledError:
    """Mean squared error of cached samples against the uncached ones of the same noise, on the scale of 0 to 255.

    Args:
        model: makes the images.
        sampler: with which.
        branch: where its U-Net is cut, 0-based.
        gram: G of that branch's feature, from which weights are made, shape (T, T).
        indices: images to make, in one batch.
        seed: of their noise; apart from the seeds of an evaluation.
        on_sample: called after each batch that was sampled.

    Raises:
        DeepCacheError: if G has another number of steps than the sampler.
    """

    def __init__(
        self,
        model: ImageModel,
        sampler: Sampler,
        branch: int,
        gram: np.ndarray,
        indices: Sequence[int],
        seed: int,
        on_sample: Callable[[], None] = lambda: None,
    ):
        if len(gram) != model.num_steps(sampler):
            raise DeepCacheError(
                f"the Gram matrix has {len(gram)} steps, but {sampler.slug} calls the U-Net {model.num_steps(sampler)} "
                "times: record it with this sampler"
            )
        self._model, self._sampler, self._branch, self._gram = model, sampler, branch, gram
        self._indices, self._seed, self._on_sample = indices, seed, on_sample
        self._uncached = model.sample(indices, seed, sampler)
        self._known: dict[Proposal, float] = {}

    def __call__(self, proposal: Proposal) -> float:
        """Sample with the proposal, unless that was done before."""
        if proposal not in self._known:
            reuse = Weighted(proposal.weights(self._gram))
            with DeepCache(self._model.unet, schedule=proposal.full_steps, branch=self._branch, reuse=reuse) as cache:
                cache.start_trajectory()
                images = self._model.sample(self._indices, self._seed, self._sampler)
            self._known[proposal] = float(squared_errors(images, self._uncached).mean())
            self._on_sample()
        return self._known[proposal]

    @property
    def measured(self) -> Mapping[Proposal, float]:
        """What was sampled so far and its error."""
        return self._known


def proposals(
    gram: np.ndarray,
    interval: int,
    eq7: Iterable[tuple[int, float]] = (),
    importances: Iterable[np.ndarray | None] = (None,),
    predictors: Sequence[Predictor] = PREDICTORS,
    length: int | None = None,
) -> Iterator[Proposal]:
    """Uniform, Eq. 7's and optimised steps with every predictor, all with as many full steps as the uniform schedule.

    Args:
        gram: G, shape (T, T).
        interval: N of the uniform schedule that sets the budget.
        eq7: centres and powers of Eq. 7; those that give no schedule of that many steps are left out.
        importances: for the optimised steps, see `best_steps`.
        predictors: what stands in at shallow steps.
        length: over how many of the T calls uniform and Eq. 7's steps are laid out, see Sampler.schedule_length; None:
            all.

    Raises:
        DeepCacheError: if the interval does not fit the trajectory.
    """
    length = len(gram) if length is None else length
    even = schedules.uniform(length, interval)
    fixed = [("uniform", even)]
    for center, power in eq7:
        try:
            fixed.append(("eq7", schedules.nonuniform(length, len(even), center, power)))
        except DeepCacheError:
            continue
    yield from (Proposal(name, steps, predictor) for name, steps in fixed for predictor in predictors)
    for predictor in predictors:
        for importance in importances:
            steps = best_steps(gram, len(even), predictor, importance, min(len(gram), GAP * interval))
            yield Proposal("optimised", steps, predictor)


def choose(
    offered: Iterable[Proposal],
    screen: Callable[[Proposal], float],
    error: Callable[[Proposal], float],
    finalists: int = 6,
) -> Proposal:
    """The proposal that errs least; of equal ones the first. The best steps are tried with every predictor.

    The mean squared error of a few images hangs on the one that is diverted most, and many proposals are compared on
    it; so those that do best on a few images, and the first proposal, are compared again on many.

    Args:
        offered: as from `proposals`; the predictors are those that occur in it.
        screen: error of a proposal on a few images, such as a `SampledError`.
        error: error of a proposal on many.
        finalists: how many of them are compared on many images.
    """
    offered = list(offered)
    best = min(offered, key=screen)
    crossed = [replace(best, predictor=predictor) for predictor in dict.fromkeys(each.predictor for each in offered)]
    kept = sorted(dict.fromkeys([*offered, *crossed]), key=screen)[:finalists]
    return min([offered[0], *kept], key=error)
