"""Sampling every way to cache at one interval and branch, from the same noises."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from deepcache.beyond.calibration.calibrate import eq7_candidates
from deepcache.beyond.calibration.choose import SampledError
from deepcache.beyond.calibration.recorded import read_recorded
from deepcache.beyond.comparison.compared import Comparison
from deepcache.beyond.comparison.contenders import Contender, contenders, watch
from deepcache.beyond.comparison.scoring import check_seeds
from deepcache.caching.engine import DeepCache
from deepcache.caching.plan import Plan, read_plan
from deepcache.progress import progress
from deepcache.sampling.request import Request
from deepcache.sampling.unrounded import Unrounded, sample_unrounded


def sweep(
    request: Request,
    comparison: Comparison,
    ways: Iterable[Contender],
    plan: Plan,
    interval: int,
    seeds: Sequence[int],
    images: int,
) -> list[dict]:
    """Sample way by way, seed by seed, and compare with the uncached images.

    Args:
        request: the model and its sampler.
        comparison: what is measured of the images.
        ways: to cache at the branch of the plan.
        plan: the one that was chosen.
        interval: N, for the progress bar.
        seeds: of the images' noise.
        images: of each seed, in one batch.

    Returns:
        For each way, uncached first: `schedule`, `reuse`, the different `full_steps` that occurred, and what
        Comparison.measure tells; of the chosen one also which steps and which prediction were picked.
    """

    def sample(seed: int) -> Unrounded:
        return sample_unrounded(request.model, range(images), seed, request.sampler)

    uncached = [sample(seed) for seed in seeds]
    every = [list(range(plan.num_steps))]
    rows = [{"schedule": "full", "reuse": "hold", "full_steps": every, **comparison.measure(uncached, uncached)}]
    name = f"{request.manifest['name']} branch {plan.branch} N={interval}"
    for way in progress(list(ways), name, unit="method"):
        cached, full_steps = [], {}
        options = {"schedule": way.full_steps, "branch": plan.branch, "reuse": way.make_reuse()}
        with DeepCache(request.model.unet, **options) as cache:
            for seed in seeds:
                cache.start_trajectory()
                cached.append(sample(seed))
                full_steps[cache.full_steps] = None
        row = {"schedule": way.schedule, "reuse": way.reuse, "full_steps": [list(steps) for steps in full_steps]}
        if way.schedule == "chosen":
            row |= {"picked_schedule": plan.calibration["steps"], "picked_reuse": plan.calibration["prediction"]}
        rows.append({**row, **comparison.measure(cached, uncached)})
    return rows


def ways_to_cache(request: Request, arguments: argparse.Namespace) -> tuple[list[Contender], Plan]:
    """The ways that sweep.py's options ask for, and the plan that is one of them.

    Args:
        request: the model and its sampler.
        arguments: of which branch and interval, from which recording and plan, with which of Eq. 7's settings, on
            which prompts.

    Raises:
        DeepCacheError: if recording or plan belong to something else or were made on the noises that are compared, or
            none of Eq. 7's settings fits.
    """
    model, sampler, branch = request.painting(arguments.calibration_prompts).model, request.sampler, arguments.branch
    recorded = read_recorded(arguments.recorded, request.manifest, sampler, branch)
    plan = read_plan(Path(arguments.plan), request.manifest, sampler.slug, branch)
    check_seeds(arguments.seeds, recorded.seed)
    screened = range(arguments.screened)
    watched = watch(model, sampler, branch, screened, recorded.seed)
    error = SampledError(model, sampler, branch, screened, recorded.seed + 1)
    length = model.schedule_length(sampler)
    eq7 = eq7_candidates(length, arguments.centers, arguments.powers)
    return list(contenders(recorded, watched, length, arguments.interval, error, eq7, plan)), plan
