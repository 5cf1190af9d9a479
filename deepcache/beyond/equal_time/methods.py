"""The methods of the contest: for each, the settings that fit into a time. Another one is a function and a line."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from deepcache.beyond.caching.chebyshev import chebyshev_weights
from deepcache.beyond.caching.peer_schedules import growing_windows
from deepcache.beyond.caching.stability import WATCHED, Stability, find_stability
from deepcache.beyond.caching.tgate import TGate
from deepcache.beyond.comparison.token_merging import merged
from deepcache.beyond.equal_time.known import Known
from deepcache.beyond.equal_time.setting import Setting
from deepcache.beyond.equal_time.timing import GATED, uncached
from deepcache.beyond.tuning.candidate import Candidate, polynomial, spread
from deepcache.beyond.tuning.tuner import LINE, SAMPLERS
from deepcache.caching.branches import OUTPUT
from deepcache.caching.engine import DeepCache
from deepcache.errors import DeepCacheError
from deepcache.sampler import Sampler

HOLD = 0
SHARES = (1.0, 0.5)  # of Chebyshev polynomials, the rest is a line: the authors' method, and what they recommend
FORECAST_FULL = 2  # full steps that a line needs


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        title: for people.
        settings: those of a model that fit into seconds of a batch.
        least: seconds of a batch that it takes at its fastest; None where the model has nothing that it could act on.
        missing: what the model lacks then.
    """

    title: str
    settings: Callable[[Known, float], Iterator[Setting]]
    least: Callable[[Known], float | None]
    missing: str = ""


def fewer_steps(known: Known, limit: float) -> Iterator[Setting]:
    """Of each sampler as many steps as there is time for, at most the usual number."""
    for name in samplers_of(known):
        for steps in range(known.usual.steps, 0, -1):
            found = all_full(known, name, steps)
            if found and known.costs.uncached(found.full) <= limit:
                yield found
                break


def samplers_of(known: Known) -> list[str]:
    """Names of those that a model has, of those that are tried."""
    return [name for name in SAMPLERS if name in known.model.family.samplers]


def all_full(known: Known, name: str, steps: int) -> Setting | None:
    """So many steps of a sampler without caching; None where it cannot take so many."""
    sampler = replace(known.usual, name=name, steps=steps, spacing="uniform")
    try:
        return uncached(sampler, known.model.num_steps(sampler))
    except DeepCacheError:  # by CompVis's stride a few begin beyond the last timestep of the training
        return None


def _uniform(known: Known, limit: float, order: int, places: list[int | str]) -> Iterator[Setting]:
    for place in places:
        full = known.full_steps(limit, place)
        if full >= (FORECAST_FULL if order else 1):
            found = polynomial(known.usual, known.calls, place, full, order, known.costs)
            yield Setting.of(found, known.shares[place])
        if full == known.calls:
            return


def hold(known: Known, limit: float) -> Iterator[Setting]:
    """The paper's: the usual steps, full ones spread evenly, at each of the outermost branches."""
    return _uniform(known, limit, HOLD, known.branches)


def forecast(known: Known, limit: float) -> Iterator[Setting]:
    """The same with the line through the last two features."""
    return _uniform(known, limit, LINE, known.branches)


def token_merging(known: Known, limit: float) -> Iterator[Setting]:
    """The least ratio that is fast enough."""
    fast = [ratio for ratio, speed in known.merging.items() if known.usual_cost / speed <= limit]
    if fast:
        yield merge_tokens(known.usual, min(fast))


def merge_tokens(usual: Sampler, ratio: float) -> Setting:
    """The usual steps with so many tokens merged. Its MACs are not counted: what it saves are attention's products."""
    return Setting(f"ratio {ratio:g}", usual, None, lambda unet: merged(unet, ratio), f"merged {ratio}")


def tgate(known: Known, limit: float) -> Iterator[Setting]:
    """The latest gate."""
    gate = known.full_steps(limit, GATED) if GATED in known.costs.shallow else 0
    if gate >= 1:
        guided = known.usual.guidance_scale > 1
        full = gate + (known.calls - gate) * known.shares[GATED]
        yield Setting(f"gate step {gate}", known.usual, full, lambda unet: TGate(unet, gate, guided), f"gate {gate}")


def whole_output_hold(known: Known, limit: float) -> Iterator[Setting]:
    """The usual steps, at those that are not full the last output: spread evenly, or by AdaptiveDiffusion's rule."""
    yield from _uniform(known, limit, HOLD, [OUTPUT])
    full = known.full_steps(limit, OUTPUT)
    if WATCHED <= full < known.calls:
        rule = find_stability(known.inputs, full)
        words = f"{known.usual.slug}, {full} full by AdaptiveDiffusion's rule, threshold {rule.threshold:.3g}"

        def way(unet):
            own = Stability(rule.num_steps, rule.num_full, rule.threshold, rule.in_a_row)  # it has a state
            return DeepCache(unet, schedule=own, branch=OUTPUT)

        yield Setting(words, known.usual, full, way, f"stability {full} {rule.threshold} {rule.in_a_row}")


def whole_output_forecast(known: Known, limit: float) -> Iterator[Setting]:
    """The usual steps, at those that are not full a line, or Spectrum's polynomials: spread evenly or as its own."""
    yield from _uniform(known, limit, LINE, [OUTPUT])
    full = known.full_steps(limit, OUTPUT)
    if FORECAST_FULL <= full < known.calls:
        even, growing = spread(known.calls, full), growing_windows(known.calls, full)
        for steps, place in ((even, ""), (growing, ", growing windows")):
            for share in SHARES:
                weights = chebyshev_weights(steps, known.calls, share)
                name = f"Chebyshev {share:g}{place}"
                cost = known.costs.of(known.calls, full, OUTPUT)
                found = Candidate(known.usual, known.calls, OUTPUT, steps, name, weights, cost)
                yield Setting.of(found, known.shares[OUTPUT])


def _at_least(full: int, places: Callable[[Known], list[int | str]]) -> Callable[[Known], float | None]:
    def least(known: Known) -> float | None:
        costs = [known.costs.of(known.calls, full, place) for place in places(known) if place in known.costs.shallow]
        return min(costs, default=None)

    return least


METHODS = {
    "fewer_steps": Method("fewer steps", fewer_steps, lambda known: known.costs.uncached(1)),
    "hold": Method("uniform, hold (paper)", hold, _at_least(1, lambda known: known.branches)),
    "forecast": Method("uniform, line", forecast, _at_least(FORECAST_FULL, lambda known: known.branches)),
    "token_merging": Method(
        "token merging",
        token_merging,
        lambda known: known.usual_cost / max(known.merging.values()) if known.merging else None,
        "no transformer blocks whose tokens could be merged, or tomesd is not installed",
    ),
    "tgate": Method("T-GATE", tgate, _at_least(1, lambda known: [GATED]), "no cross-attention"),
    "whole_output_hold": Method("whole output, hold", whole_output_hold, _at_least(1, lambda known: [OUTPUT])),
    "whole_output_forecast": Method(
        "whole output, forecast", whole_output_forecast, _at_least(FORECAST_FULL, lambda known: [OUTPUT])
    ),
}
TUNED = "tuned"
