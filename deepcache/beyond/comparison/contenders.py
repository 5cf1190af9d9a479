"""Everything that is compared at one budget: each way to choose the full steps with each way to fill in the others."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from deepcache.beyond.caching.forecast import Forecast
from deepcache.beyond.caching.online import InputChange, find_threshold
from deepcache.beyond.caching.peer_schedules import key_steps, linear_gap, window
from deepcache.beyond.calibration.affine import ChannelMoments, fit_affine
from deepcache.beyond.calibration.choose import GAP, Proposal, SampledError, eq7_schedules
from deepcache.beyond.calibration.drift import drift_steps
from deepcache.beyond.calibration.recorded import Recorded
from deepcache.beyond.calibration.search import additive_steps
from deepcache.caching import schedules
from deepcache.caching.layer_outputs import input_watched
from deepcache.caching.online import OnlineSchedule
from deepcache.caching.plan import Plan
from deepcache.caching.reuse import Hold, Reuse
from deepcache.caching.weighted import Weighted
from deepcache.errors import DeepCacheError
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel

HOLD, LINE, PARABOLA = 0, 1, 2  # orders of polynomials
JOINT = (1, 1.0)  # order and trust of joint weights at uniform steps
WINDOW_SHARE = 0.5  # of the full steps that lie in the window
GAP_RATIO = 3.0  # of the last gap to the first


@dataclass(frozen=True)
class Contender:
    """One way to cache.

    Attributes:
        schedule: how the full steps are chosen: `uniform`, `eq7`, `additive`, `drift`, `window-start`, `window-end`,
            `linear-gap`, `key-steps`, `online`, `chosen`.
        reuse: what takes the place of the feature: `hold`, `forecast1`, `joint1`, `affine`, `chosen`, ...
        full_steps: k of T, or what decides while it samples.
        make_reuse: makes the latter anew.
    """

    schedule: str
    reuse: str
    full_steps: tuple[int, ...] | OnlineSchedule
    make_reuse: Callable[[], Reuse]


@dataclass(frozen=True)
class Watched:
    """What uncached trajectories of the calibration show beside what is recorded.

    Attributes:
        moments: of the branch's feature, channel by channel.
        inputs: what the U-Net was called with at each step, T tensors.
    """

    moments: ChannelMoments
    inputs: list[torch.Tensor]


def watch(model: ImageModel, sampler: Sampler, branch: int, indices: Sequence[int], seed: int) -> Watched:
    """Sample once without caching, and keep what affine corrections and the online rule are fitted on.

    Args:
        model: makes the images.
        sampler: with which.
        branch: where its U-Net is cut, 0-based.
        indices: images to make, in one batch.
        seed: of their noise; apart from the seeds of an evaluation.
    """
    moments, inputs = ChannelMoments(branch), []
    with input_watched(model.unet, inputs.append), moments.recording(model.unet):
        model.sample(indices, seed, sampler)
    return Watched(moments, inputs)


def contenders(
    recorded: Recorded, watched: Watched, length: int, interval: int, error: SampledError, eq7, plan: Plan
) -> Iterator[Contender]:
    """All ways to cache with as many full steps as the uniform schedule of an interval.

    Args:
        recorded: of the model, sampler and branch.
        watched: of the same.
        length: over how many calls the schedules are laid out.
        interval: N.
        error: of samples from the calibration's noise; it picks the best of Eq. 7's schedules.
        eq7: centres and powers among which it does; those that give no schedule of that many steps are left out.
        plan: the one that the rule chose for this interval.

    Raises:
        DeepCacheError: if the interval does not fit, or none of Eq. 7's schedules does.
    """
    rows, steps = recorded.rows, recorded.rows.num_steps
    even = schedules.uniform(length, interval)
    gap, count = min(steps, GAP * interval), len(even)

    def polynomial(name: str, full_steps: tuple[int, ...], order: int) -> Contender:
        return _of(Proposal.polynomial(name, full_steps, steps, order))

    yield from (polynomial("uniform", even, order) for order in (HOLD, LINE, PARABOLA))
    yield _of(Proposal.joint("uniform", even, rows, *JOINT))
    yield Contender("uniform", "affine", even, lambda: fit_affine(watched.moments, even))
    found = [Proposal.polynomial("eq7", full_steps, steps, HOLD) for full_steps in eq7_schedules(length, count, eq7)]
    if not found:
        raise DeepCacheError(f"no centre and power of Eq. 7 that were given lead to {count} full steps of {length}")
    best = min(found, key=error).full_steps
    yield from (polynomial("eq7", best, order) for order in (HOLD, LINE))
    yield from (polynomial("additive", additive_steps(rows, count, order, gap), order) for order in (HOLD, LINE))
    peers = {
        "drift": drift_steps(recorded.gram, count),
        "window-start": window(length, count, WINDOW_SHARE, "start"),
        "window-end": window(length, count, WINDOW_SHARE, "end"),
        "linear-gap": linear_gap(length, count, GAP_RATIO),
        "key-steps": key_steps(length, count),
    }
    yield from (polynomial(name, full_steps, HOLD) for name, full_steps in peers.items())
    online = InputChange(steps, count, find_threshold(watched.inputs, count))
    yield from (Contender("online", name, online, make) for name, make in (("hold", Hold), ("forecast1", Forecast)))
    yield Contender("chosen", "chosen", plan.full_steps, plan.reuse)


def _of(proposal: Proposal) -> Contender:
    make_reuse = partial(Weighted, proposal.weights)
    return Contender(proposal.steps, proposal.prediction, proposal.full_steps, make_reuse)
