"""From a model to a plan: record, propose, sample the proposals, keep the best."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from deepcache.beyond.caching.plan import Plan
from deepcache.beyond.calibration.choose import SampledError, choose, proposals
from deepcache.beyond.calibration.gram import FeatureGram
from deepcache.beyond.calibration.importance import measure_importance
from deepcache.methods.method import Method
from deepcache.quality.paired_fidelity import psnr
from deepcache.runs.sampler import Sampler
from deepcache.sampling.model import ImageModel
from deepcache.sampling.request import Request


@dataclass(frozen=True)
class Recorded:
    """What one pass over uncached trajectories tells of a branch; serves every interval.

    Attributes:
        gram: G of the branch's feature, see `FeatureGram`, shape (T, T).
        importance: of each step, see `measure_importance`, shape (T,).
        images: how many trajectories were recorded.
        seed: of their noise.
    """

    gram: np.ndarray
    importance: np.ndarray
    images: int
    seed: int


def record(
    model: ImageModel,
    sampler: Sampler,
    branch: int,
    batches: Sequence[Sequence[int]],
    seed: int,
    points: int = 12,
    on_step: Callable[[int], None] = lambda step: None,
) -> Recorded:
    """Record G over uncached trajectories, and the importance of the steps.

    Args:
        model: makes the images.
        sampler: with which.
        branch: where its U-Net is cut, 0-based.
        batches: indices of the images, batch by batch; of a batch, the features of all steps are in memory at once.
            Importance is measured on the first.
        seed: of their noise; apart from the seeds of an evaluation.
        points: see `measure_importance`.
        on_step: called after each step of each of the len(batches) + points + 1 trajectories.

    Raises:
        DeepCacheError: as from `FeatureGram` and `measure_importance`.
    """
    recorder = FeatureGram(branch)
    for batch in batches:
        with recorder.recording(model.unet):
            model.sample(batch, seed, sampler, on_step)
    gram = recorder.matrix()
    importance = measure_importance(model, sampler, branch, gram, batches[0], seed, points, on_step)
    return Recorded(gram, importance, sum(len(batch) for batch in batches), seed)


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
    gram, importance, seed = recorded.gram, recorded.importance, request.seed
    few = indices[:: max(1, len(indices) // screened)]
    where = request.model, request.sampler, method.branch, gram
    screen, error = (SampledError(*where, some, seed, on_sample) for some in (few, indices))
    # The summed residual alone, the error of the sample if steps err independently, and in between.
    importances = (None, np.sqrt(importance), importance)
    length = request.model.schedule_length(request.sampler)
    best = choose(proposals(gram, method.interval, eq7, importances, length=length), screen, error)
    found = sorted(error.measured.items(), key=lambda item: item[1])
    return Plan(
        model=request.manifest["name"],
        sha256=request.manifest["sha256"],
        sampler=request.sampler.slug,
        num_steps=len(gram),
        branch=method.branch,
        precision=request.precision,
        full_steps=best.full_steps,
        weights=best.weights(gram),
        calibration={
            "interval": method.interval,
            "steps": best.name,
            "prediction": best.predictor.name,
            "recorded": {"images": recorded.images, "seed": recorded.seed},
            "screened": {"images": len(few), "seed": seed},
            "sampled": {"images": len(indices), "seed": seed},
            "psnr_db": [
                {"steps": proposal.name, "prediction": proposal.predictor.name, "psnr_db": psnr(squared)}
                for proposal, squared in found
            ],
        },
    )
