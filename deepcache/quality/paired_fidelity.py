"""How near cached images are to the uncached ones of the same noise: PSNR, SSIM and LPIPS, image by image."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from skimage.metrics import mean_squared_error, structural_similarity

from deepcache.errors import DeepCacheError
from deepcache.quality.intervals import LEVEL

PEAK = 255  # largest value of a pixel
WINDOW = 7  # pixels, scikit-image's default


def psnr(squared_error: float) -> float | None:
    """Peak signal-to-noise ratio, 10 log10(255^2 / mean squared error), dB; None where it is infinite: no error."""
    return None if squared_error == 0 else 10 * math.log10(PEAK**2 / squared_error)


def squared_errors(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean squared error of each pair of images over pixels and channels, float64, shape (B,).

    Args:
        a: uint8, or not rounded, from 0 to 255, shape (B, H, W, C).
        b: likewise, the same shape.
    """
    return np.array([mean_squared_error(x, y) for x, y in zip(a, b, strict=True)])


def similarities(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """SSIM (Wang et al. 2004) of each pair of images, float64, shape (B,); 1 for identical images.

    As scikit-image computes it by default: in uniform windows of 7x7 pixels, averaged over pixels and channels.

    Args:
        a: uint8, shape (B, H, W, C).
        b: uint8, the same shape.

    Raises:
        DeepCacheError: if the images are smaller than a window.
    """
    height, width = a.shape[1:3]
    if min(height, width) < WINDOW:
        raise DeepCacheError(f"SSIM needs images of at least {WINDOW}x{WINDOW} pixels, not {width}x{height}")
    options = {"win_size": WINDOW, "data_range": PEAK, "channel_axis": -1}
    return np.array([structural_similarity(x, y, **options) for x, y in zip(a, b, strict=True)])


def mean_interval(values: np.ndarray, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of a mean over images, shape (n,): percentiles of the means of redrawn images (Efron 1979).

    Args:
        values: one for each image.
        resamples: how often n images are drawn with replacement.
        seed: of the draws; equal seeds draw the same images.
    """
    rng = np.random.default_rng(seed)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class PairedFidelity:
    """The three metrics of n pairs of images.

    Attributes:
        squared_error: mean squared error of each pair, on the scale of 0 to 255, shape (n,).
        ssim: see `similarities`, shape (n,).
        lpips: see deepcache.quality.perceptual, shape (n,).
    """

    squared_error: np.ndarray
    ssim: np.ndarray
    lpips: np.ndarray

    def summary(self) -> dict[str, float | None]:
        """Mean of each metric (`psnr_db`, `ssim`, `lpips`) and its 95 % interval over images (`_low`, `_high`).

        PSNR is that of the mean squared error over all images: a mean of decibels would be infinite as soon as one pair
        is identical. None stands for infinity. With one image there are no intervals: their ends are None.
        """
        error, least, most = _with_interval(self.squared_error)
        # The larger the error, the smaller the PSNR, so the ends change places.
        found: dict[str, float | None] = {
            "psnr_db": psnr(error),
            "psnr_db_low": None if most is None else psnr(most),
            "psnr_db_high": None if least is None else psnr(least),
        }
        for name, values in (("ssim", self.ssim), ("lpips", self.lpips)):
            found[name], found[f"{name}_low"], found[f"{name}_high"] = _with_interval(values)
        return found

    def per_image(self) -> Mapping[str, list[float | None]]:
        """Each metric of each pair, rounded to 6 decimals; PSNR is None where it is infinite."""
        decibels = [psnr(error) for error in self.squared_error]
        return {
            "psnr_db": [None if value is None else round(value, 6) for value in decibels],
            "ssim": self.ssim.round(6).tolist(),
            "lpips": self.lpips.round(6).tolist(),
        }


def _with_interval(values: np.ndarray) -> tuple[float, float | None, float | None]:
    interval = mean_interval(values) if len(values) > 1 else (None, None)
    return (float(values.mean()), *interval)
