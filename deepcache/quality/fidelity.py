"""FID and KID from features; KID is computed by torch-fidelity."""

import numpy as np
import torch
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

from deepcache.errors import DeepCacheError
from deepcache.quality.frechet import FrechetTo, frechet_distance
from deepcache.quality.statistics import Statistics

KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000  # at most half of the smaller set, or the subsets would all be alike


def fid(samples: Statistics, reference: Statistics, kind: str = "pool") -> float:
    """Frechet distance between the Gaussians fitted to two sets of features (Heusel et al. 2017).

    Args:
        samples: of the samples.
        reference: of the reference.
        kind: `pool` for FID, `spatial` for sFID (Nash et al. 2021), `clean` for clean-fid's FID (Parmar et al. 2022).

    Raises:
        DeepCacheError: if a set has no moments of such features, their dimensions differ, or the distance is not
            finite.
    """
    return frechet_distance(*samples.gaussian(kind), *reference.gaussian(kind))


def fid_to(reference: Statistics) -> FrechetTo:
    """FID of pooled features, shape (n, D), to one reference: what `fid` says of `Statistics.of` them, for many sets.

    Raises:
        DeepCacheError: as from `fid`.
    """
    return FrechetTo(*reference.gaussian())


def kid(samples: np.ndarray, references: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Kernel distance (Binkowski et al. 2018): mean and standard deviation over 100 random subsets.

    Args:
        samples: features, shape (N, D); the first M are used, which is all that the subsets have use for.
        references: features, shape (M, D).
        seed: of the subsets.

    Raises:
        DeepCacheError: if a set has fewer than four images: a subset of half of them needs two.
    """
    samples = samples[: len(references)]
    size = min(KID_SUBSET_SIZE, len(samples) // 2, len(references) // 2)
    if size < 2:
        raise DeepCacheError(
            f"KID is undefined for {len(samples)} samples and {len(references)} references: use at least 4 of each"
        )
    features = [torch.from_numpy(one).double() for one in (samples, references)]
    found = kid_features_to_metric(
        *features, kid_subsets=KID_SUBSETS, kid_subset_size=size, rng_seed=seed, verbose=False
    )
    return found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD]
