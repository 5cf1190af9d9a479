import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.metrics.statistics import Accumulator, Statistics


def values(count, dimensions, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)


def accumulated(pool, spatial, keep, size=7):
    accumulator = Accumulator(keep)
    for start in range(0, len(pool), size):
        accumulator.add({"pool": pool[start : start + size], "spatial": spatial[start : start + size]})
    return accumulator


def test_moments_of_both_kinds_of_features():
    pool, spatial = values(50, 6), values(50, 9, seed=1)
    found = accumulated(pool, spatial, None).statistics({"dataset": "random"})
    for mean, covariance, features in ((found.mu, found.sigma, pool), (found.mu_s, found.sigma_s, spatial)):
        assert np.allclose(mean, features.astype(np.float64).mean(axis=0), rtol=1e-9, atol=1e-12)
        assert np.allclose(covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-9, atol=1e-12)
    assert np.array_equal(found.features, pool)
    assert found.about == {"dataset": "random"}


@pytest.mark.parametrize("keep", [1, 7, 10, 50, 60])
def test_the_first_features_are_kept_and_the_moments_are_of_all(keep):
    pool, spatial = values(50, 6), values(50, 9)
    found = accumulated(pool, spatial, keep).statistics({})
    assert found.features.dtype == np.float32
    assert np.array_equal(found.features, pool[:keep])
    assert np.allclose(found.mu, pool.mean(axis=0), atol=1e-6)


def test_without_spatial_features_there_are_no_moments_of_them():
    found = Statistics.of(values(20, 6), {})
    assert found.mu_s is None
    assert found.sigma_s is None
    assert Statistics.of(values(20, 6), {}, spatial=values(20, 9)).sigma_s.shape == (9, 9)


@pytest.mark.parametrize("spatial", [None, values(20, 9)])
def test_statistics_survive_the_disk(tmp_path, spatial):
    written = Statistics.of(values(20, 6), {"dataset": "random"}, spatial)
    written.save(tmp_path / "reference.npz")
    read = Statistics.load(tmp_path / "reference.npz")
    for name in ("mu", "sigma", "features", "mu_s", "sigma_s"):
        before, after = getattr(written, name), getattr(read, name)
        assert (before is None and after is None) or np.array_equal(before, after)
    assert read.about == {"dataset": "random"}
    assert [path.name for path in tmp_path.iterdir()] == ["reference.npz"]


def test_restored_goes_on_bit_for_bit():
    pool, spatial = values(40, 6), values(40, 9)
    whole = accumulated(pool, spatial, 25, size=10).statistics({})
    half = accumulated(pool[:20], spatial[:20], 25, size=10)
    restored = Accumulator.restored({key: value.copy() for key, value in half.state().items()}, 25)
    for start in (20, 30):
        restored.add({"pool": pool[start : start + 10], "spatial": spatial[start : start + 10]})
    found = restored.statistics({})
    for name in ("mu", "sigma", "features", "mu_s", "sigma_s"):
        assert np.array_equal(getattr(found, name), getattr(whole, name))


def test_moments_are_in_double_precision():
    features = 1e4 + values(1000, 2)
    assert Statistics.of(features, {}).mu == pytest.approx(features.astype(np.float64).mean(axis=0), rel=1e-12)


def test_broken_input_is_named(tmp_path):
    with pytest.raises(DeepCacheError, match="NaN or infinity"):
        Statistics.of(np.array([[1.0], [np.nan]]), {})
    with pytest.raises(DeepCacheError, match="at least two images, not 1"):
        Statistics.of(np.ones((1, 3)), {})
    with pytest.raises(DeepCacheError, match="at least two images, not 0"):
        Accumulator().statistics({})
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(DeepCacheError, match=r"bad.npz: not readable as reference statistics"):
        Statistics.load(tmp_path / "bad.npz")
