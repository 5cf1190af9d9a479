import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.quality.moments import Moments


def features(count, dimensions=32, mean=0.4, seed=0):
    """Correlated and never negative, as behind a ReLU."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(dimensions, dimensions)) / dimensions**0.5
    return np.maximum(rng.normal(size=(count, dimensions)) @ mixing * 0.3 + mean, 0).astype(np.float32)


def streamed(values, sizes):
    moments = Moments()
    for batch in np.split(values, np.cumsum(sizes)):
        moments.add(batch)
    return moments


def assert_equal(moments, values):
    """To 1e-9 of the whole batch at once, in float64; a covariance is compared with its standard deviations."""
    wide = values.astype(np.float64)
    sigma = np.cov(wide, rowvar=False)
    deviations = np.sqrt(np.diag(sigma))
    assert moments.count == len(values)
    assert np.allclose(moments.mean(), wide.mean(axis=0), rtol=1e-9, atol=0)
    assert np.abs((moments.covariance() - sigma) / np.outer(deviations, deviations)).max() < 1e-9


@pytest.mark.parametrize("sizes", [[], [1], [7] * 100, [1, 2, 500, 0, 3]])
def test_streamed_equals_the_whole_batch(sizes):
    values = features(2000)
    assert_equal(streamed(values, sizes), values)


def test_far_from_zero_nothing_is_lost():
    """Spread 1 about a mean of a million: sums of squares without a shift lose all digits of the covariance."""
    values = 1e6 + np.random.default_rng(0).normal(size=(5000, 4))
    moments = streamed(values, [64] * 70)
    assert_equal(moments, values)
    unshifted = (values.T @ values - len(values) * np.outer(values.mean(0), values.mean(0))) / (len(values) - 1)
    assert np.abs(unshifted - np.cov(values, rowvar=False)).max() > 1e-6


def test_fewer_images_than_dimensions():
    values = features(10)
    assert_equal(streamed(values, [3, 3]), values)


@pytest.mark.parametrize("cut", [0, 1, 900, 2000])
def test_merged_equals_the_whole_batch(cut):
    values = features(2000)
    first, second = streamed(values[:cut], [100]), streamed(values[cut:], [50])
    before = second.outer.copy()
    first.merge(second)
    assert_equal(first, values)
    assert np.array_equal(second.outer, before)


def test_restored_goes_on_bit_for_bit():
    values = features(300)
    whole, half = streamed(values, [100, 100]), streamed(values[:200], [100])
    state = {key: value.copy() for key, value in half.state().items()}
    restored = Moments.restored(state)
    restored.add(values[200:])
    assert np.array_equal(restored.mean(), whole.mean())
    assert np.array_equal(restored.covariance(), whole.covariance())


def test_what_cannot_be_computed_is_said():
    moments = Moments()
    with pytest.raises(DeepCacheError, match="at least one image"):
        moments.mean()
    moments.add(features(1))
    with pytest.raises(DeepCacheError, match="at least two images, not 1"):
        moments.covariance()
    with pytest.raises(DeepCacheError, match="features have 5 dimensions, those before had 32"):
        moments.add(features(3, 5))
    other = Moments()
    other.add(features(3, 5))
    with pytest.raises(DeepCacheError, match="5 dimensions"):
        moments.merge(other)
    with pytest.raises(DeepCacheError, match="NaN or infinity"):
        moments.add(np.full((1, 32), np.inf))
    assert moments.count == 1
