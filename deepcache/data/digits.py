"""scikit-learn's 1,797 handwritten digits as images with a margin."""

import hashlib

import numpy as np
import torch
import torch.nn.functional as F

from deepcache.errors import DeepCacheError

NUM_IMAGES = 1797
MARGIN = 1 / 8  # of the image's side, on each side: the 8x8 originals fill their frame to the edge


def load_digits(image_size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the digits, scaled up with a black margin around them.

    Args:
        image_size: side of the square images in pixels, a multiple of 8.

    Returns:
        images: uint8, shape (1797, 1, image_size, image_size), 0 (background) to 255.
        labels: int64, shape (1797,), 0 to 9.

    Raises:
        DeepCacheError: if image_size is not a positive multiple of 8.

    Source: UCI "Optical Recognition of Handwritten Digits", test part, as bundled with scikit-learn.
    """
    if image_size <= 0 or image_size % 8:
        raise DeepCacheError(f"digits: image_size must be a positive multiple of 8, not {image_size}")
    bunch = _bunch()
    originals = torch.from_numpy(np.asarray(bunch.images, dtype=np.float32))[:, None] / 16.0
    margin = int(image_size * MARGIN)
    inner = image_size - 2 * margin
    scaled = F.interpolate(originals, size=(inner, inner), mode="bicubic", align_corners=False).clamp(0, 1)
    padded = F.pad(scaled, (margin, margin, margin, margin))
    return (padded * 255).round().to(torch.uint8), torch.from_numpy(np.asarray(bunch.target, dtype=np.int64))


def digest() -> str:
    """SHA-256 of the originals' pixels, as the installed scikit-learn has them."""
    return hashlib.sha256(np.asarray(_bunch().images, dtype=np.uint8).tobytes()).hexdigest()


def _bunch():
    from sklearn import datasets  # 1.6 s of imports, needed only here

    return datasets.load_digits()
