import numpy as np
import pytest
import torch

from deepcache import DeepCacheError
from deepcache.quality.inception_score import InceptionScore, inception_score


def logits(seed: int, count: int, classes: int = 7, scale: float = 3.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).normal(size=(count, classes))).astype(np.float32)


def brute_force(images: np.ndarray, split_size: int) -> float:
    """As the definition reads: softmax, chunks in order, KL of each image to the chunk's mean."""
    scores = []
    for start in range(0, len(images), split_size):
        wide = images[start : start + split_size].astype(np.float64)
        p = np.exp(wide - wide.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        marginal = p.mean(axis=0)
        kl = [sum(a * np.log(a / b) for a, b in zip(row, marginal, strict=True) if a > 0) for row in p]
        scores.append(np.exp(np.mean(kl)))
    return float(np.mean(scores))


@pytest.mark.parametrize(
    "images",
    [
        logits(0, 103),
        logits(1, 100),
        logits(2, 9),
        logits(3, 30, classes=200),
        np.repeat(logits(4, 20), 5, axis=0),
        logits(5, 100, scale=1e4),  # probabilities that underflow to 0
        np.zeros((50, 7), np.float32),
    ],
    ids=["a shorter last chunk", "whole chunks", "one chunk", "many classes", "duplicates", "certain", "undecided"],
)
def test_equals_brute_force(images):
    assert inception_score(images, 25) == pytest.approx(brute_force(images, 25), rel=1e-10)


def test_does_not_depend_on_the_batches():
    images = logits(0, 103)
    for batch in (1, 7, 25, 60, 103):
        streamed = InceptionScore(25)
        for start in range(0, len(images), batch):
            streamed.add(torch.from_numpy(images[start : start + batch]))
        assert streamed.score() == pytest.approx(inception_score(images, 25), rel=1e-13)


def test_depends_on_the_order():
    """Chunks are consecutive: of images sorted by class each holds one class, of alternating ones it holds all."""
    sorted_by_class = 50 * np.repeat(np.eye(4), 25, axis=0)
    alternating = sorted_by_class.reshape(4, 25, 4).swapaxes(0, 1).reshape(100, 4)
    assert inception_score(sorted_by_class, 25) == pytest.approx(1)
    assert inception_score(alternating, 20) == pytest.approx(4)
    assert inception_score(sorted_by_class, 100) == pytest.approx(4)


def test_a_shorter_last_chunk_counts_like_any_other():
    images = logits(0, 60)
    first, last = inception_score(images[:50], 50), inception_score(images[50:], 50)
    assert inception_score(images, 50) == pytest.approx((first + last) / 2)


def test_a_score_may_be_taken_in_between():
    images, streamed = logits(0, 80), InceptionScore(25)
    for part in np.split(images, [30, 50]):
        streamed.add(part)
        assert streamed.score() == pytest.approx(inception_score(images[: streamed.count], 25))
    assert streamed.count == 80


def test_what_is_undefined_or_broken_is_refused():
    for few in (logits(0, 0), logits(0, 1)):
        with pytest.raises(DeepCacheError, match="fewer than two images"):
            inception_score(few)
    for broken in (np.nan, np.inf, -np.inf):
        with pytest.raises(DeepCacheError, match="NaN or infinity"):
            inception_score(np.where(np.eye(7) == 1, broken, 0.0))
    with pytest.raises(DeepCacheError, match="split_size"):
        InceptionScore(0)
    with pytest.raises(DeepCacheError, match=r"\(images, classes\), not \(7,\)"):
        inception_score(np.zeros(7))
    streamed = InceptionScore(4)
    streamed.add(logits(0, 4))
    with pytest.raises(DeepCacheError, match=r"\(images, 7\), not \(2, 6\)"):
        streamed.add(logits(0, 2, classes=6))
