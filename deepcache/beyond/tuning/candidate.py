"""One way to spend a budget: sampler, steps, branch, full steps and what stands in at the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import nn

from deepcache.beyond.calibration.polynomial import polynomial_weights
from deepcache.beyond.tuning.costs import Costs
from deepcache.caching.branches import place_words
from deepcache.caching.engine import DeepCache
from deepcache.caching.weighted import Weighted
from deepcache.files import short_hash
from deepcache.sampler import Sampler

STRETCHES = (1.0, 1.15, 1.35, 1.6, 2.0, 2.5, 3.2, 4.0)  # more steps than can all be full, in multiples of these
FEWEST_FULL = 2  # a line needs two
SPARSEST = 12  # steps for each full one, at most
FEWEST_STEPS = 4


@dataclass(frozen=True, eq=False)
class Candidate:
    """A way to sample.

    Attributes:
        sampler: with its number of steps.
        steps: calls of the U-Net in a trajectory, T.
        branch: where the U-Net is cut, 0-based, or OUTPUT.
        full_steps: k of T.
        prediction: where the weights come from: `hold`, `forecast1`, `joint2`, ...; `full` where all steps are.
        weights: for each shallow step, full step -> weight of its feature.
        cost: of a batch in seconds, or of an image in MACs.
    """

    sampler: Sampler
    steps: int
    branch: int | str
    full_steps: tuple[int, ...]
    prediction: str
    weights: Mapping[int, Mapping[int, float]]
    cost: float

    @property
    def caches(self) -> bool:
        """Whether any step is shallow."""
        return len(self.full_steps) < self.steps

    @property
    def words(self) -> str:
        """For a table: `dpmpp-30-cfg7.5, 12 full, branch 0, forecast1`."""
        cached = f", {place_words(self.branch)}, {self.prediction}" if self.caches else ""
        return f"{self.sampler.slug}, {len(self.full_steps)} of {self.steps} full{cached}"

    @property
    def digest(self) -> str:
        """Tells it from others."""
        weights = [[step, sorted(of.items())] for step, of in sorted(self.weights.items())]
        return short_hash([self.words, self.full_steps, weights])

    def applied(self, unet: nn.Module) -> AbstractContextManager[DeepCache | None]:
        """A context in which the U-Net runs so."""
        if not self.caches:
            return nullcontext()
        return DeepCache(unet, branch=self.branch, schedule=self.full_steps, reuse=Weighted(self.weights))


def spread(steps: int, full: int) -> tuple[int, ...]:
    """So many full steps of so many, evenly."""
    return tuple(index * steps // full for index in range(full))


def polynomial(sampler: Sampler, steps: int, branch: int | str, full: int, order: int, costs: Costs) -> Candidate:
    """Full steps spread evenly, and features on a polynomial through those of the last ones; order 0 holds."""
    full_steps = spread(steps, full)
    weights = polynomial_weights(full_steps, steps, order)
    prediction = "full" if full == steps else f"forecast{order}" if order else "hold"
    return Candidate(sampler, steps, branch, full_steps, prediction, weights, costs.of(steps, full, branch))


def lengths(costs: Costs, budget: float, most: int, calls: Callable[[int], float]) -> list[int]:
    """Numbers of steps that are tried: from as many as can all be full, in growing strides, up to `most`.

    Args:
        costs: of a step.
        budget: that is not exceeded.
        most: steps.
        calls: of the U-Net in so many steps, which may be more; infinite where a sampler cannot take so many.
    """
    afforded = int((budget - costs.fixed) / costs.full + 1e-9)
    all_full = max(FEWEST_STEPS, min(most, afforded))
    while all_full > FEWEST_STEPS and calls(all_full) > afforded:
        all_full -= 1
    return sorted({min(most, round(all_full * stretch)) for stretch in STRETCHES})


def affordable(
    costs: Costs, budget: float, sampler: Sampler, calls: int, branches: Sequence[int | str]
) -> Iterator[tuple[int | str, int]]:
    """(branch, full steps) of a sampler's trajectory of so many calls within a budget; all full counts once."""
    for branch in branches:
        full = costs.full_steps(budget, calls, branch)
        if full == calls:
            yield branch, full
            return
        if full >= max(FEWEST_FULL, calls / SPARSEST):
            yield branch, full


def fastest(costs: Costs) -> tuple[float, int | str]:
    """(least cost that is considered, branch): the fewest steps, as few of them full as may be."""
    branch = min(costs.shallow, key=costs.shallow.get)
    return costs.of(FEWEST_STEPS, FEWEST_FULL, branch), branch
