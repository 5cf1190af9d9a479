"""All metrics of a run's samples, each for itself: where one is undefined the others are computed all the same."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import numpy as np
import torch

from deepcache.errors import DeepCacheError
from deepcache.quality.fidelity import fid, kid
from deepcache.quality.inception_score import InceptionScore
from deepcache.quality.precision_recall import PrecisionRecall, precision_recall
from deepcache.quality.precision_recall_adm import precision_recall_adm
from deepcache.quality.statistics import KINDS, Accumulator, Statistics

ADM = "inception-adm"  # the extractor of ADM's evaluator
FEATURES = (*KINDS, "logits")


def run_metrics(
    batches: Iterable[Mapping[str, np.ndarray]], reference: Statistics, device: torch.device
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Compute FID, sFID, Inception score, precision, recall, KID, and clean-fid's FID.

    Spatial features and logits are streamed; the pooled features of all samples are in memory (410 MB for 50,000 of
    Inception's), because precision and recall compare each with each.

    Args:
        batches: the samples' FEATURES, in order of the samples' index, on which the Inception score depends.
        reference: what they are compared with.
        device: where precision and recall are computed.

    Returns:
        The metrics, finite or, where undefined, None, and for each of the latter the reason in one line:

        - `fid`, `sfid`, `fid_clean`: see `fid`; each from all samples and the reference's moments;
        - `is`: see `InceptionScore`;
        - `precision`, `recall`: in percent, as the paper's tables have them; of all samples against the features that
          the reference keeps, see `precision_recall`;
        - `precision_adm`, `recall_adm`: the same with the rounding of ADM's evaluator, see `precision_recall_adm`; only
          where the features are those of its extractor;
        - `kid`, `kid_sd`: mean and standard deviation over subsets, see `kid`; not scaled.

    Raises:
        DeepCacheError: if a sample's feature is NaN or infinite: something is broken then, not undefined.
    """
    accumulator, score = Accumulator(), InceptionScore()
    for batch in batches:
        accumulator.add(batch)
        score.add(batch["logits"])
    samples = cache(lambda: accumulator.statistics({}))

    def distance(kind: str) -> tuple[float]:
        return (fid(samples(), reference, kind),)

    def shares(count: Callable[..., PrecisionRecall]) -> tuple[float, float]:
        found = count(accumulator.features(), reference.features, device)
        return 100 * found.precision, 100 * found.recall

    adm = {("precision_adm", "recall_adm"): lambda: shares(precision_recall_adm)}
    return _each(
        {
            ("fid",): lambda: distance("pool"),
            ("sfid",): lambda: distance("spatial"),
            ("is",): lambda: (score.score(),),
            ("precision", "recall"): lambda: shares(precision_recall),
            **(adm if reference.about.get("extractor") == ADM else {}),
            ("kid", "kid_sd"): lambda: kid(accumulator.features(), reference.features),
            ("fid_clean",): lambda: distance("clean"),
        }
    )


def _each(
    metrics: Mapping[tuple[str, ...], Callable[[], tuple[float, ...]]],
) -> tuple[dict[str, float | None], dict[str, str]]:
    """Compute metrics by their names; a DeepCacheError, or a value that is not finite, leaves the others alone."""
    values: dict[str, float | None] = {}
    undefined: dict[str, str] = {}
    for names, compute in metrics.items():
        try:
            found = compute()
            if not all(math.isfinite(value) for value in found):
                raise DeepCacheError("the value is not finite: the features are too large")
        except DeepCacheError as error:
            found = (None,) * len(names)
            undefined |= dict.fromkeys(names, str(error))
        values |= zip(names, found, strict=True)
    return values, undefined
