"""PSNR and SSIM of pairs of images against scikit-image; means and intervals."""

import json
import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from deepcache import DeepCacheError
from deepcache.quality.paired_fidelity import PairedFidelity, mean_interval, psnr, similarities, squared_errors
from tests.quality.pairs import pairs


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [16, 40])
def test_psnr_and_ssim_are_scikit_images(channels, side):
    a, b = pairs(5, side, side, channels)
    a, b = a[1:], b[1:]
    errors, found = squared_errors(a, b), similarities(a, b)
    for x, y, error, similarity in zip(a, b, errors, found, strict=True):
        assert psnr(error) == pytest.approx(peak_signal_noise_ratio(x, y, data_range=255), rel=1e-12)
        if channels == 1:
            expected = structural_similarity(x[..., 0], y[..., 0], data_range=255)
        else:
            each = [structural_similarity(x[..., c], y[..., c], data_range=255) for c in range(3)]
            expected = np.mean(each)
        assert similarity == pytest.approx(expected, rel=1e-12)
    assert (np.diff(errors) > 0).all()
    assert found.max() < 0.99


def test_a_constant_offset():
    """With d between two flat images: PSNR is 20 log10(255 / d), SSIM its first factor, that of the means."""
    a, b = np.full((1, 16, 16, 1), 100, np.uint8), np.full((1, 16, 16, 1), 110, np.uint8)
    assert psnr(squared_errors(a, b)[0]) == pytest.approx(20 * math.log10(25.5))
    steady = (0.01 * 255) ** 2
    assert similarities(a, b)[0] == pytest.approx((2 * 100 * 110 + steady) / (100**2 + 110**2 + steady))


def test_identical_images():
    a, _ = pairs(2)
    assert psnr(squared_errors(a, a)[0]) is None
    assert similarities(a, a) == pytest.approx([1, 1])


def test_ssim_needs_a_window():
    a = np.zeros((1, 6, 16, 1), np.uint8)
    with pytest.raises(DeepCacheError, match="at least 7x7 pixels, not 16x6"):
        similarities(a, a)


def test_the_mean_psnr_is_that_of_the_mean_error():
    a, b = pairs(8)
    errors = squared_errors(a, b)
    fidelity = PairedFidelity(errors, similarities(a, b), np.linspace(0, 1, 8))
    found = fidelity.summary()
    mean = np.mean((a.astype(float) - b) ** 2)
    assert found["psnr_db"] == pytest.approx(10 * math.log10(255**2 / mean))
    assert found["lpips"] == pytest.approx(0.5)
    for name in ("psnr_db", "ssim", "lpips"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    assert found["psnr_db_high"] == psnr(mean_interval(errors)[0])
    images = fidelity.per_image()
    assert images["psnr_db"][0] is None
    assert images["psnr_db"][1:] == [round(psnr(error), 6) for error in errors[1:]]
    assert images["ssim"][0] == 1
    json.dumps([found, images], allow_nan=False)


def test_without_any_difference_psnr_and_its_interval_are_infinite():
    found = PairedFidelity(np.zeros(3), np.ones(3), np.zeros(3)).summary()
    assert [found[name] for name in ("psnr_db", "psnr_db_low", "psnr_db_high")] == [None] * 3
    assert [found[name] for name in ("ssim", "ssim_low", "ssim_high")] == [1] * 3


def test_one_image_has_no_interval():
    found = PairedFidelity(np.array([4.0]), np.array([0.5]), np.array([0.1])).summary()
    assert found["psnr_db"] == pytest.approx(20 * math.log10(255 / 2))
    assert [value for name, value in found.items() if name.endswith(("_low", "_high"))] == [None] * 6


def test_the_interval_is_the_normal_one_where_there_are_many_images():
    values = np.random.default_rng(3).exponential(size=400)
    low, high = mean_interval(values)
    margin = 1.96 * values.std() / math.sqrt(len(values))
    assert low < values.mean() < high
    assert low == pytest.approx(values.mean() - margin, abs=0.15 * margin)
    assert high == pytest.approx(values.mean() + margin, abs=0.15 * margin)
    assert mean_interval(values) == (low, high)
    assert mean_interval(values, seed=1) != (low, high)
