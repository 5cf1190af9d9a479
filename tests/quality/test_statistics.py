import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.quality.statistics import Accumulator, Statistics


def values(count, dimensions, seed=0):
    return np.random.default_rng(seed).normal(size=(count, dimensions)).astype(np.float32)


MOMENTS = ("mu", "sigma", "mu_s", "sigma_s", "mu_clean", "sigma_clean")


def of_each_kind(count):
    return {"pool": values(count, 6), "spatial": values(count, 9, seed=1), "clean": values(count, 6, seed=2)}


def accumulated(features, keep, size=7):
    accumulator = Accumulator(keep)
    for start in range(0, len(features["pool"]), size):
        accumulator.add({kind: of_kind[start : start + size] for kind, of_kind in features.items()})
    return accumulator


def test_moments_of_each_kind_of_features():
    kinds = of_each_kind(50)
    found = accumulated({**kinds, "logits": values(50, 3)}, None).statistics({"dataset": "random"})
    for kind, names in {"pool": MOMENTS[:2], "spatial": MOMENTS[2:4], "clean": MOMENTS[4:]}.items():
        features, (mean, covariance) = kinds[kind], found.gaussian(kind)
        assert mean is getattr(found, names[0])
        assert covariance is getattr(found, names[1])
        assert np.allclose(mean, features.astype(np.float64).mean(axis=0), rtol=1e-9, atol=1e-12)
        assert np.allclose(covariance, np.cov(features.astype(np.float64), rowvar=False), rtol=1e-9, atol=1e-12)
    assert np.array_equal(found.features, kinds["pool"])
    assert found.about == {"dataset": "random"}


@pytest.mark.parametrize("keep", [1, 7, 10, 50, 60])
def test_the_first_features_are_kept_and_the_moments_are_of_all(keep):
    kinds = of_each_kind(50)
    found = accumulated(kinds, keep).statistics({})
    assert found.features.dtype == np.float32
    assert np.array_equal(found.features, kinds["pool"][:keep])
    assert np.allclose(found.mu, kinds["pool"].mean(axis=0), atol=1e-6)


def test_features_that_did_not_come_have_no_moments():
    found = Statistics.of(values(20, 6), {}, spatial=values(20, 9))
    assert found.sigma_s.shape == (9, 9)
    assert found.mu_clean is None
    assert found.sigma_clean is None
    with pytest.raises(DeepCacheError, match="no moments of clean features: delete them and run again"):
        found.gaussian("clean")


def test_files_from_before_clean_features_were_taken_still_work(tmp_path):
    old = {"mu": np.zeros(2), "sigma": np.eye(2), "mu_s": np.ones(3), "sigma_s": np.eye(3), "features": values(4, 2)}
    np.savez(tmp_path / "old.npz", about=np.array("{}"), **old)
    found = Statistics.load(tmp_path / "old.npz")
    assert found.mu_clean is None
    assert np.array_equal(found.mu_s, old["mu_s"])


@pytest.mark.parametrize("others", [(), ("spatial",), ("spatial", "clean")])
def test_statistics_survive_the_disk(tmp_path, others):
    written = Statistics.of(values(20, 6), {"dataset": "random"}, **{kind: of_each_kind(20)[kind] for kind in others})
    written.save(tmp_path / "reference.npz")
    read = Statistics.load(tmp_path / "reference.npz")
    for name in ("features", *MOMENTS):
        before, after = getattr(written, name), getattr(read, name)
        assert (before is None and after is None) or np.array_equal(before, after)
    assert read.about == {"dataset": "random"}
    assert [path.name for path in tmp_path.iterdir()] == ["reference.npz"]


def test_restored_goes_on_bit_for_bit():
    kinds = of_each_kind(40)
    whole = accumulated(kinds, 25, size=10).statistics({})
    half = accumulated({kind: features[:20] for kind, features in kinds.items()}, 25, size=10)
    restored = Accumulator.restored({key: value.copy() for key, value in half.state().items()}, 25)
    for start in (20, 30):
        restored.add({kind: features[start : start + 10] for kind, features in kinds.items()})
    found = restored.statistics({})
    for name in ("features", *MOMENTS):
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
