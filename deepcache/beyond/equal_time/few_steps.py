"""Where caching stops to pay: N = 2 on trajectories of few steps, beside fewer steps that take as long."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from deepcache.beyond.equal_time.known import Known
from deepcache.beyond.equal_time.methods import FORECAST_FULL, HOLD, all_full, fewer_steps, samplers_of
from deepcache.beyond.equal_time.setting import Setting
from deepcache.beyond.equal_time.timing import USUAL
from deepcache.beyond.tuning.candidate import polynomial
from deepcache.beyond.tuning.tuner import LINE
from deepcache.caching.branches import OUTPUT
from deepcache.cost.speed_up import speed_up
from deepcache.sampler import Sampler

INTERVAL = 2
WAYS = {
    "hold": (0, HOLD),
    "forecast": (0, LINE),
    "whole_output_hold": (OUTPUT, HOLD),
    "whole_output_forecast": (OUTPUT, LINE),
}


def few_steps(
    known: Known,
    numbers: Sequence[int],
    best: Callable[[Iterator[Setting]], Setting | None],
    seconds: Callable[[Sampler, Mapping[str, Setting]], Mapping[str, Sequence[float]]],
    measured: Callable[[Setting], dict],
) -> Iterator[dict]:
    """A row for each number of steps and way to cache.

    Args:
        known: the model.
        numbers: of steps.
        best: of settings the one that errs least.
        seconds: of a batch with a sampler uncached, `usual`, and with each setting, interleaved.
        measured: what is measured of the images of a setting.

    Yields:
        `steps`, `sampler`, the one that errs least with so many, `method`, a key of WAYS, `speed` over the same steps
        uncached, `setting`, and what is measured of its images; `fewer`: setting and measures of the best sampler
        with as many steps as take no longer, by what a step costs, None where not one does.
    """
    for steps in numbers:
        full = best(one for name in samplers_of(known) if (one := all_full(known, name, steps)))
        if full is None:
            continue
        calls = known.model.num_steps(full.sampler)
        kept = math.ceil(calls / INTERVAL)
        ways = {}
        for name, (place, order) in WAYS.items():
            if kept < calls and kept >= (FORECAST_FULL if order else 1):
                found = polynomial(full.sampler, calls, place, kept, order, known.costs)
                ways[name] = Setting.of(found, known.shares[place])
        timed = seconds(full.sampler, ways) if ways else {}
        for name, setting in ways.items():
            speed = speed_up(timed[USUAL], timed[name])
            limit = known.costs.uncached(calls) / speed
            fewer = best(fewer_steps(known, limit))
            row = {"steps": steps, "sampler": full.sampler.slug, "method": name, "speed": speed}
            row |= {"setting": setting.words, **measured(setting), "uncached": measured(full)}
            yield row | {"fewer": fewer and {"setting": fewer.words, **measured(fewer)}}
