"""From a model to a plan: record, propose, sample the proposals, keep the best."""

import math
from collections.abc import Callable, Iterable, Sequence

from deepcache.beyond.calibration.choose import SampledError, choose, proposals
from deepcache.beyond.calibration.recorded import Recorded
from deepcache.caching.fingerprint import fingerprint
from deepcache.caching.plan import Plan
from deepcache.errors import DeepCacheError
from deepcache.methods.method import Method
from deepcache.quality.paired_fidelity import psnr
from deepcache.sampling.request import Request


def eq7_candidates(
    length: int, centers: Iterable[float] = (0.25, 0.5), powers: Iterable[float] = (1.2,)
) -> list[tuple[int, float]]:
    """Centres and powers of Eq. 7 that are tried, of a trajectory of `length` steps; centres are given as shares."""
    return [(int(share * length), power) for share in centers for power in powers]


def calibrate(
    request: Request,
    method: Method,
    recorded: Recorded,
    indices: Sequence[int],
    screened: int = 16,
    eq7: Iterable[tuple[int, float]] = (),
    on_sample: Callable[[], None] = lambda: None,
) -> Plan:
    """The plan with as many full steps as the uniform schedule of an interval that errs least when it is sampled.

    Args:
        request: the model and its sampler; its seed is apart from that of what was recorded, and from the seeds of an
            evaluation.
        method: which the plan is for: its interval and branch.
        recorded: of this model, sampler and branch.
        indices: images that the finalists of `choose` sample, in one batch. For text-to-image, as many as there are
            prompts: among few, those whose trajectories are easily diverted may be missing.
        screened: of these images, about how many every proposal samples.
        eq7: centres and powers of Eq. 7 that are proposed, too.
        on_sample: called after each proposal that was sampled.

    Raises:
        DeepCacheError: if the interval does not fit, or `recorded` belongs to another sampler.
    """
    model, sampler, seed, rows = request.model, request.sampler, request.seed, recorded.rows
    if rows.num_steps != model.num_steps(sampler):
        raise DeepCacheError(
            f"{rows.num_steps} steps were recorded, but {sampler.slug} calls the U-Net {model.num_steps(sampler)} "
            "times: record with this sampler"
        )
    few = indices[:: max(1, len(indices) // screened)]
    screen, error = (SampledError(model, sampler, method.branch, some, seed, on_sample) for some in (few, indices))
    length = model.schedule_length(sampler)
    best = choose(proposals(rows, method.interval, eq7, length), rows, screen, error)
    return Plan(
        model=request.manifest["name"],
        sha256=request.manifest["sha256"],
        unet=fingerprint(model.unet),
        sampler=sampler.slug,
        num_steps=rows.num_steps,
        branch=method.branch,
        precision=request.precision,
        full_steps=best.full_steps,
        weights=best.weights,
        calibration={
            "interval": method.interval,
            "steps": best.steps,
            "prediction": best.prediction,
            "trust": best.trust,
            "recorded": {"images": recorded.images, "probes": recorded.probes, "seed": recorded.seed},
            "screened": {"images": len(few), "seed": seed},
            "sampled": {"images": len(indices), "seed": seed},
            "finalists": _described(error),
        },
    )


def _described(error: SampledError) -> list[dict]:
    """What was sampled on many images, the best first."""
    return [
        {"steps": each.steps, "prediction": each.prediction, "trust": each.trust, "psnr_mean_db": psnr(math.exp(log))}
        for each, log in sorted(error.measured.items(), key=lambda item: item[1])
    ]
