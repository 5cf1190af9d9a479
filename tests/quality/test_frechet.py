import numpy as np
import pytest
from scipy import linalg
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_statistics_to_metric

from deepcache import DeepCacheError
from deepcache.quality.frechet import FrechetTo, frechet_distance

DIMENSIONS = 40


def features(seed: int, count: int, shift: float = 0.0) -> np.ndarray:
    """Correlated, not negative, on scales that differ a thousandfold, as pooled features are."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(9)
    mixing, scales = fixed.normal(size=(DIMENSIONS, DIMENSIONS)), np.exp(1.5 * fixed.normal(size=DIMENSIONS))
    return np.maximum(rng.normal(size=(count, DIMENSIONS)) @ mixing / 6 + shift, 0) * scales


def moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images.mean(axis=0), np.cov(images, rowvar=False)


def from_features(first: np.ndarray, second: np.ndarray) -> float:
    """Without covariances: the trace of the root is the nuclear norm of the centred features' product."""
    a, b = ((images - images.mean(axis=0)) / np.sqrt(len(images) - 1) for images in (first, second))
    step = first.mean(axis=0) - second.mean(axis=0)
    return (step**2).sum() + (a**2).sum() + (b**2).sum() - 2 * linalg.svdvals(a @ b.T).sum()


FULL, OTHER = features(0, 300), features(1, 250, 0.3)
PAIRS = {
    "more images than dimensions": (FULL, OTHER),
    "fewer images than dimensions": (features(2, 15), OTHER),
    "fewer in both sets": (features(2, 15), features(3, 25, 0.3)),
    "two images": (features(2, 2), OTHER),
    "duplicated images": (np.repeat(features(2, 15), 20, axis=0), OTHER),
    "duplicated features": (np.concatenate([FULL[:, :20]] * 2, axis=1), OTHER),
    "dead features": (FULL * (np.arange(DIMENSIONS) < 25), OTHER),
    "constant images": (np.full((10, DIMENSIONS), 0.3), OTHER),
    "constant images in both sets": (np.full((10, DIMENSIONS), 0.3), np.full((9, DIMENSIONS), 0.1)),
    "a set and itself": (FULL, FULL),
    "a small set and itself": (features(2, 15), features(2, 15)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_equals_the_distance_computed_without_covariances(pair):
    first, second = PAIRS[pair]
    found = frechet_distance(*moments(first), *moments(second))
    assert found == pytest.approx(from_features(first, second), rel=1e-12, abs=1e-9)
    assert found == pytest.approx(frechet_distance(*moments(second), *moments(first)), rel=1e-12, abs=1e-9)
    assert found >= 0
    to_second = FrechetTo(*moments(second))
    assert [to_second(first), to_second(first)] == pytest.approx([found] * 2, rel=1e-12, abs=1e-9)


def test_equals_the_textbook_formula_where_that_is_accurate():
    (mu1, sigma1), (mu2, sigma2) = moments(FULL), moments(OTHER)
    textbook = ((mu1 - mu2) ** 2).sum() + np.trace(sigma1 + sigma2 - 2 * linalg.sqrtm(sigma1 @ sigma2).real)
    library = fid_statistics_to_metric({"mu": mu1, "sigma": sigma1}, {"mu": mu2, "sigma": sigma2}, verbose=False)
    found = frechet_distance(mu1, sigma1, mu2, sigma2)
    assert found == pytest.approx(textbook, abs=1e-6)
    assert found == pytest.approx(library[KEY_METRIC_FID], abs=1e-6)


def test_known_values():
    """Commuting covariances: the squared difference of means, and of standard deviations."""
    zeros, spread = np.zeros(3), np.diag([1.0, 4.0, 0.0])
    assert frechet_distance(zeros, spread, zeros + 2, 4 * spread) == pytest.approx(12 + 1 + 4)
    assert frechet_distance(zeros, spread, zeros, spread) == pytest.approx(0, abs=1e-12)


def test_bad_moments_are_refused():
    mu, sigma = moments(FULL)
    for bad in ((mu[1:], sigma), (mu, sigma[1:]), (mu[1:], sigma[1:, 1:]), (mu[:, None], sigma)):
        with pytest.raises(DeepCacheError, match="shapes"):
            frechet_distance(*bad, mu, sigma)
    with pytest.raises(DeepCacheError, match="at least two images"):
        frechet_distance(mu, np.full_like(sigma, np.nan), mu, sigma)
    with pytest.raises(DeepCacheError, match="not finite"):
        frechet_distance(mu + 1e200, sigma, mu, sigma)
    with pytest.raises(DeepCacheError, match="shapes"):
        FrechetTo(mu[1:], sigma)


@pytest.mark.parametrize("count", [15, 300])
def test_bad_features_are_refused(count):
    to_full, bad = FrechetTo(*moments(FULL)), features(0, count)
    bad[3, 2] = np.nan
    with pytest.raises(DeepCacheError, match="NaN or infinity"):
        to_full(bad)
    with pytest.raises(DeepCacheError, match="shapes"):
        to_full(features(0, count)[:, 1:])
    with pytest.raises(DeepCacheError, match="two images"):
        to_full(features(0, 1))
