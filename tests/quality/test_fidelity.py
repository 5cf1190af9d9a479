from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import linalg
from torch.utils.data import Dataset
from torch_fidelity import calculate_metrics, register_feature_extractor

from deepcache import DeepCacheError
from deepcache.quality.extractors import EXTRACTORS, extract
from deepcache.quality.fidelity import fid, kid
from deepcache.quality.frechet import frechet_distance
from deepcache.quality.statistics import Statistics

CPU = torch.device("cpu")


@pytest.fixture
def classifier() -> Path:
    return Path(__file__).resolve().parents[2] / "resources/checkpoints/digits-classifier"


def images(seed: int, count: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 1), dtype=np.uint8)


class Tensors(Dataset):
    """Images as torch-fidelity wants them: uint8 tensors (C, H, W)."""

    def __init__(self, images: np.ndarray):
        self._images = torch.from_numpy(images).permute(0, 3, 1, 2)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._images[index]


def features(seed: int, count: int, shift: float = 0.0) -> Statistics:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(6, 6))
    return Statistics.of((rng.normal(size=(count, 6)) @ mixing + shift).astype(np.float32), {})


def test_fid_equals_the_formula():
    """Heusel et al., Eq. 6, with scipy's matrix square root."""
    first, second = features(0, 200), features(1, 300, shift=0.5)
    root = linalg.sqrtm(first.sigma @ second.sigma).real
    direct = ((first.mu - second.mu) ** 2).sum() + np.trace(first.sigma + second.sigma - 2 * root)
    assert fid(first, second) == pytest.approx(direct, rel=1e-9)


def test_fid_of_a_set_with_itself_is_zero():
    assert fid(features(0, 200), features(0, 200)) == pytest.approx(0, abs=1e-6)


def test_kid_tells_equal_from_different():
    reference = features(0, 300).features
    same, other = (kid(features(*one).features, reference) for one in ((1, 300), (2, 300, 3.0)))
    assert abs(same[0]) < 3 * same[1]
    assert other[0] > 10 * abs(same[0])


def test_kid_is_of_as_many_samples_as_there_are_references():
    samples, reference = features(1, 90, 0.5).features, features(0, 60).features
    assert kid(samples, reference) == kid(samples[:60], reference)
    assert kid(samples[:60], reference) != kid(samples[:59], reference)


def test_kid_of_less_than_four_images_is_undefined():
    four, three = features(0, 4).features, features(1, 3).features
    assert np.isfinite(kid(four, four)).all()
    with pytest.raises(DeepCacheError, match="undefined for 3 samples and 4 references: use at least 4 of each"):
        kid(three, four)
    with pytest.raises(DeepCacheError, match="undefined for 3 samples and 3 references"):
        kid(four, three)


def test_each_kind_of_features_has_its_distance():
    def statistics(seed: int) -> Statistics:
        pool, spatial, clean = (features(seed + shift, 50).features for shift in (0, 10, 20))
        return Statistics.of(pool, {}, spatial=spatial[:, :4], clean=clean)

    samples, reference = statistics(0), statistics(1)
    assert fid(samples, reference) == frechet_distance(samples.mu, samples.sigma, reference.mu, reference.sigma)
    assert fid(samples, reference, "spatial") == frechet_distance(
        samples.mu_s, samples.sigma_s, reference.mu_s, reference.sigma_s
    )
    assert fid(samples, reference, "clean") == frechet_distance(
        samples.mu_clean, samples.sigma_clean, reference.mu_clean, reference.sigma_clean
    )
    assert len({fid(samples, reference, kind) for kind in ("pool", "spatial", "clean")}) == 3


def test_equals_torch_fidelity_from_end_to_end(classifier):
    """The same images through torch-fidelity's own front door."""
    reference, samples = images(0), images(1)
    ours = []
    for one in (samples, reference):
        [found] = extract([one], "digits-classifier", classifier, CPU)
        ours.append(Statistics.of(found["pool"], {}))
    register_feature_extractor("digits-classifier", EXTRACTORS["digits-classifier"])
    theirs = calculate_metrics(
        input1=Tensors(samples),
        input2=Tensors(reference),
        fid=True,
        kid=True,
        kid_subset_size=20,
        rng_seed=0,
        feature_extractor="digits-classifier",
        feature_layer_fid="pool",
        checkpoint=classifier,
        cuda=False,
        verbose=False,
        cache=False,
        save_cpu_ram=True,
    )
    assert fid(*ours) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3)
    assert kid(ours[0].features, ours[1].features)[0] == pytest.approx(
        theirs["kernel_inception_distance_mean"], rel=1e-3
    )


def test_broken_input_is_named():
    with pytest.raises(DeepCacheError, match="twice the same D, not"):
        fid(features(0, 20), Statistics.of(np.eye(4, 3), {}))
