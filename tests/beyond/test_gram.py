"""Gram matrices of features, against the direct computation."""

import numpy as np
import pytest
import torch

from deepcache import DeepCacheError
from deepcache.beyond.calibration.gram import FeatureGram


def test_matrix_is_the_direct_computation():
    gram, every = FeatureGram(), []
    for seed, batch in ((0, 2), (1, 3)):
        generator = torch.Generator().manual_seed(seed)
        features = [torch.randn(batch, 4, 3, 3, generator=generator) for _ in range(5)]
        gram.add(features)
        every.append(torch.stack(features, 1).flatten(2).double())
    direct = torch.cat(every).numpy()
    expected = np.einsum("ise,ite->st", direct, direct) / direct[:, 0].size
    assert gram.matrix().dtype == np.float64 and np.allclose(gram.matrix(), expected, rtol=1e-12)


def test_without_a_trajectory_there_is_none():
    with pytest.raises(DeepCacheError, match="no trajectory was recorded"):
        FeatureGram().matrix()
