"""Pairs of images."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from deepcache.data.digits import load_digits
from deepcache.models.classifier import DigitsClassifier

CPU = torch.device("cpu")
CLASSIFIER = Path(__file__).resolve().parents[2] / "resources/checkpoints/digits-classifier"


def pairs(count: int, height: int = 40, width: int = 48, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Coloured squares, and the same with noise that grows from image to image, from none."""
    rng = np.random.default_rng(0)
    shape = (count, height // 8, width // 8, channels)
    a = rng.integers(0, 256, shape, dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    noise = rng.normal(size=a.shape) * 6 * np.arange(count)[:, None, None, None]
    b = (a + noise).clip(0, 255).astype(np.uint8)
    return a, b


def digits() -> tuple[np.ndarray, np.ndarray]:
    a = load_digits(24)[0][:5].permute(0, 2, 3, 1).numpy()
    noise = np.random.default_rng(0).normal(size=a.shape) * 10 * np.arange(5)[:, None, None, None]
    return a, (a + noise).clip(0, 255).astype(np.uint8)


@torch.no_grad()
def digits_by_hand(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    classifier, maps = DigitsClassifier.from_pretrained(CLASSIFIER), []
    for images in (a, b):
        x = torch.from_numpy(images.mean(axis=3)).float()[:, None] / 127.5 - 1
        x = F.interpolate(x, size=(16, 16), mode="bilinear", antialias=True, align_corners=False)
        found = []
        for number, layer in enumerate(classifier.body):
            x = layer(x)
            if number % 2:
                found.append(x.double().numpy())
        maps.append(found)
    total = np.zeros(len(a))
    for p, q in zip(*maps, strict=True):
        p, q = (one / np.sqrt((one**2).sum(axis=1, keepdims=True)) for one in (p, q))
        total += ((p - q) ** 2).sum(axis=1).mean(axis=(1, 2))
    return total
