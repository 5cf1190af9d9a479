from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import linalg

from deepcache import DeepCacheError
from deepcache.beyond.comparison.compared import Comparison
from deepcache.quality.statistics import Statistics
from deepcache.sampling.request import Prompts
from deepcache.sampling.unrounded import Unrounded

CPU = torch.device("cpu")
ZEROS = [0.0] * 6


def pictures(seed: int, count: int = 6) -> Unrounded:
    pixels = np.random.default_rng(seed).uniform(0, 255, (count, 4, 4, 1)).astype(np.float32)
    return Unrounded(pixels.round().astype(np.uint8), pixels)


def squared_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return ((a.astype(float) - b) ** 2).mean((1, 2, 3))


def features(images: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and first pixel."""
    return {"pool": np.stack([images.mean((1, 2, 3)), images[:, 0, 0, 0]], 1).astype(np.float32)}


class Scorer:
    """Scores an image by the length of its prompt, and by itself."""

    def scores(self, images, prompts):
        return np.array([len(prompt) + image.max() / 1000 for image, prompt in zip(images, prompts, strict=True)])


def test_nothing_but_errors_unless_asked():
    images, others = [pictures(0), pictures(1)], [pictures(2), pictures(1)]
    found = Comparison().measure(images, others)
    assert (found["fid"], found["fid_redrawn"], found["clip_score"]) == (None, None, None)
    assert found["squared_error"] == [pytest.approx(squared_error(images[0].images, others[0].images), abs=1e-6), ZEROS]
    unrounded = pytest.approx(squared_error(images[0].pixels, others[0].pixels), rel=1e-6)
    assert found["squared_error_unrounded"] == [unrounded, ZEROS]
    assert list(found) == ["squared_error", "squared_error_unrounded", "fid", "fid_redrawn", "clip_score"]


def test_an_error_that_rounding_hides_is_measured():
    """In full: six decimals would be none of it."""
    image = pictures(0)
    other = Unrounded(image.images, image.pixels + np.float32(2**-14))
    found = Comparison().measure([image], [other])
    assert found["squared_error"] == [ZEROS]
    assert found["squared_error_unrounded"] == [pytest.approx(squared_error(image.pixels, other.pixels), rel=1e-6)]
    assert 0 < max(found["squared_error_unrounded"][0]) < 1e-8


def frechet(mine: np.ndarray, reference: np.ndarray) -> float:
    covariances = [np.cov(one.astype(float), rowvar=False) for one in (mine, reference)]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = ((mine.astype(float).mean(0) - reference.astype(float).mean(0)) ** 2).sum()
    return shift + np.trace(covariances[0] + covariances[1] - 2 * root)


def test_fid_is_of_the_rounded_images_of_all_seeds():
    images, reference = [pictures(0), pictures(1)], features(pictures(5, 40).images)["pool"]
    found = Comparison(Statistics.of(reference, {}), features).measure(images, images)
    mine = features(np.concatenate([one.images for one in images]))["pool"]
    assert found["fid"] == pytest.approx(frechet(mine, reference), rel=1e-5)
    assert found["clip_score"] is None


def test_fid_is_redrawn_from_the_same_images_of_every_method():
    reference = features(pictures(5, 40).images)["pool"]
    comparison, rng = Comparison(Statistics.of(reference, {}), features), np.random.default_rng(0)
    draws = [rng.integers(12, size=12) for _ in range(200)]
    for seeds in ((0, 1), (2, 3)):
        images = [pictures(seed) for seed in seeds]
        mine = features(np.concatenate([one.images for one in images]))["pool"]
        expected = [frechet(mine[drawn], reference) for drawn in draws]
        assert comparison.measure(images, images)["fid_redrawn"] == pytest.approx(expected, rel=1e-5)


def test_each_image_has_its_prompt_round_the_list():
    images = [pictures(0), pictures(1)]
    found = Comparison(clip=Scorer(), prompts=["a", "bb", "cccc", "dddddd"]).measure(images, images)
    for one, scores in zip(images, found["clip_score"], strict=True):
        lengths = np.array([1, 2, 4, 6, 1, 2])
        assert scores == pytest.approx(lengths + one.images.max((1, 2, 3)) / 1000)


def test_as_many_seeds_as_there_are_of_the_others():
    with pytest.raises(ValueError, match="zip"):
        Comparison().measure([pictures(0)], [pictures(0), pictures(1)])


def load(prompts=None, **given) -> Comparison:
    request = SimpleNamespace(device=CPU, prompts=prompts and Prompts(prompts, "0"))
    nothing = dict.fromkeys(("reference", "extractor", "extractor_weights", "clip"))
    return Comparison.load(request, Namespace(**{**nothing, **given}))


def test_options_that_need_others(tmp_path):
    with pytest.raises(DeepCacheError, match="--reference needs --extractor and --extractor-weights"):
        load(reference=tmp_path / "reference.npz", extractor="digits-classifier")
    with pytest.raises(DeepCacheError, match="--clip needs --prompts"):
        load(clip=tmp_path / "clip.json")
    with pytest.raises(DeepCacheError, match=r"clip\.json"):
        load(["a"], clip=tmp_path / "clip.json")
    assert load(["a"]) == Comparison(prompts=["a"])
