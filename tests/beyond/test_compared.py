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

CPU = torch.device("cpu")


def pictures(seed: int, count: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 1), dtype=np.uint8)


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
    assert (found["fid"], found["clip_score"]) == (None, None)
    expected = ((images[0].astype(float) - others[0]) ** 2).mean((1, 2, 3))
    assert found["squared_error"] == [pytest.approx(expected, abs=1e-6), [0.0] * 6]
    assert list(found) == ["squared_error", "fid", "clip_score"]


def test_fid_is_of_the_images_of_all_seeds():
    images, reference = [pictures(0), pictures(1)], features(pictures(5, 40))["pool"]
    found = Comparison(Statistics.of(reference, {}), features).measure(images, images)
    mine = features(np.concatenate(images))["pool"].astype(float)
    covariances = [np.cov(one, rowvar=False) for one in (mine, reference.astype(float))]
    root = linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = ((mine.mean(0) - reference.mean(0)) ** 2).sum()
    assert found["fid"] == pytest.approx(shift + np.trace(covariances[0] + covariances[1] - 2 * root), rel=1e-5)


def test_each_image_has_its_prompt_round_the_list():
    images = [pictures(0), pictures(1)]
    found = Comparison(clip=Scorer(), prompts=["a", "bb", "cccc", "dddddd"]).measure(images, images)
    for one, scores in zip(images, found["clip_score"], strict=True):
        lengths = np.array([1, 2, 4, 6, 1, 2])
        assert scores == pytest.approx(lengths + one.max((1, 2, 3)) / 1000)


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
