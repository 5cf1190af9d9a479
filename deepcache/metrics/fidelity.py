"""FID and KID from features; KID is computed by torch-fidelity."""

import torch
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

from deepcache.metrics.frechet import frechet_distance
from deepcache.metrics.statistics import Statistics

KID_SUBSETS = 100
KID_SUBSET_SIZE = 1000  # at most half of the smaller set, or the subsets would all be alike


def fid(samples: Statistics, reference: Statistics) -> float:
    """Frechet distance between the Gaussians fitted to two sets of features (Heusel et al. 2017).

    Raises:
        DeepCacheError: if the sets' features have different dimensions, or the distance is not finite.
    """
    return frechet_distance(samples.mu, samples.sigma, reference.mu, reference.sigma)


def kid(samples: Statistics, reference: Statistics, seed: int = 0) -> tuple[float, float]:
    """Kernel distance (Binkowski et al. 2018): mean and standard deviation over 100 random subsets."""
    size = min(KID_SUBSET_SIZE, len(samples.features) // 2, len(reference.features) // 2)
    features = [torch.from_numpy(one.features).double() for one in (samples, reference)]
    found = kid_features_to_metric(
        *features, kid_subsets=KID_SUBSETS, kid_subset_size=size, rng_seed=seed, verbose=False
    )
    return found[KEY_METRIC_KID_MEAN], found[KEY_METRIC_KID_STD]
