"""Stored values come from TensorFlow 2.21 on a CPU, which ran the evaluator's graph on the images made here."""

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from deepcache import DeepCacheError
from deepcache.quality import precision_recall_adm as module
from deepcache.quality.precision_recall import PrecisionRecall, precision_recall
from deepcache.quality.precision_recall_adm import precision_recall_adm
from tests.conftest import DEVICES

CPU = torch.device("cpu")
STORED = Path(__file__).parent / "data" / "precision_recall_adm.npz"


def features(seed: int, count: int, dimensions: int = 2048, spread: float = 1.0) -> np.ndarray:
    """Numbers like Inception's: not negative, a third of them 0, mean 0.4, squared norms about 1,100.

    Only uniform numbers, sums and products, which every version of NumPy rounds alike.
    """
    layer, rng = np.random.default_rng(99), np.random.default_rng(seed)
    found = rng.random((count, dimensions)) + rng.random((count, dimensions)) - 0.6
    for factor in range(12):
        weights = layer.random(dimensions) - 0.5
        found += spread * (rng.random((count, 1)) - 0.5) * weights * (4 / (1 + factor / 4))
    scale = layer.random(dimensions) * layer.random(dimensions)
    return (np.maximum(found, 0) * (scale + 0.15) * 2).astype(np.float32)


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Samples and references that TensorFlow saw."""
    large = features(3, 305)
    large[::61] *= 10  # squared norms above 65,504, the largest float16 number
    return {
        "inception": (features(1, 600), features(2, 500)),
        "overflow": (large, features(4, 250)),
        # Squared norms are finite, but not twice the products: these distances are minus infinity, and then 0.
        "products overflow": (features(5, 20) + np.float32(3.9), features(6, 15) + np.float32(3.9)),
    }


CASES = cases()


def half_sums(numbers: np.ndarray) -> np.ndarray:
    """Sums of rows in float16, in 4 x 8 interleaved running sums of each half of long rows; (N, D) to (N,)."""
    if numbers.shape[1] > 1600:
        return half_sums(numbers[:, : numbers.shape[1] // 2]) + half_sums(numbers[:, numbers.shape[1] // 2 :])
    running = np.stack([np.add.accumulate(numbers[:, lane::32], axis=1)[:, -1] for lane in range(32)])
    four = running.reshape(4, 8, -1)
    return (((four[0] + four[1]) + four[2]) + four[3]).astype(np.float32).sum(axis=0).astype(np.float16)


def block_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What the evaluator's graph makes of one block, in float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        u, v = first.astype(np.float16), second.astype(np.float16)
        products = (u.astype(np.float64) @ v.T.astype(np.float64)).astype(np.float32).astype(np.float16)
        found = np.maximum(half_sums(u * u)[:, None] - np.float16(2) * products + half_sums(v * v), np.float16(0))
    if np.isfinite(found).all():
        return found.astype(np.float32)
    u, v = first.astype(np.float64), second.astype(np.float64)
    norms_u, norms_v = ((x * x).sum(axis=1).astype(np.float32) for x in (u, v))
    return np.maximum(norms_u[:, None] - 2 * (u @ v.T).astype(np.float32) + norms_v, 0)


def distances(first: np.ndarray, second: np.ndarray, block: int) -> np.ndarray:
    rows = [first[start : start + block] for start in range(0, len(first), block)]
    columns = [second[start : start + block] for start in range(0, len(second), block)]
    return np.block([[block_distances(row, column) for column in columns] for row in rows])


def brute_force(samples: np.ndarray, references: np.ndarray, block: int) -> PrecisionRecall:
    sample_radii, reference_radii = (np.sort(distances(x, x, block), axis=1)[:, 3] for x in (samples, references))
    between = distances(references, samples, block)
    samples_inside = (between <= reference_radii[:, None]).any(axis=0).sum()
    references_inside = (between <= sample_radii).any(axis=1).sum()
    return PrecisionRecall(int(samples_inside), len(samples), int(references_inside), len(references))


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(STORED) as file:
        return dict(file)


@pytest.mark.parametrize("case", CASES)
def test_images_are_those_that_tensorflow_saw(case, stored):
    assert [zlib.crc32(images.tobytes()) for images in CASES[case]] == stored[f"{case}, checksums"].tolist()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_equals_tensorflow(case, device, stored):
    samples, references = CASES[case]
    found = precision_recall_adm(samples, references, torch.device(device))
    samples_inside, references_inside = stored[f"{case}, inside"]
    assert found == PrecisionRecall(samples_inside, len(samples), references_inside, len(references))
    for name, images in (("samples", samples), ("references", references)):
        radii = module._radii(images, torch.device(device), lambda: None).cpu().numpy()
        expected = stored[f"{case}, radii of {name}"]
        if expected.dtype == np.float16:
            assert (radii == expected).all()
        else:  # float32, which TensorFlow sums in another order
            np.testing.assert_allclose(radii, expected, rtol=2e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_distances_equal_tensorflow(device, stored):
    samples, references = CASES["inception"]
    block = module._distances(references, slice(0, 500), samples, slice(0, 600), torch.device(device))
    found = torch.cat([strip for _, strip in block]).cpu().numpy()
    assert (found.dtype, found.shape) == (np.float16, (500, 600))
    assert (found[:60, :60] == stored["inception, distances"]).all()


def test_squared_norms_equal_tensorflow(stored):
    norms = module._half_points(CASES["inception"][0], slice(0, 600), CPU)[1].numpy()
    assert (norms == stored["inception, norms"]).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dimensions", [2048, 64])
@pytest.mark.parametrize("block", [1000, 70])
def test_counts_equal_brute_force(block, dimensions, device, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(module, "STRIP", 32)
    samples, references = features(1, 200, dimensions, 1.1), features(2, 150, dimensions)
    samples[7] = samples[8] = references[9]
    found = precision_recall_adm(samples, references, torch.device(device))
    assert found == brute_force(samples, references, block)


@pytest.mark.parametrize("block", [1000, 40])
def test_a_block_that_overflows_is_computed_in_float32(block, monkeypatch):
    """With small blocks, only those that contain the large images: the counts depend on the evaluator's blocks."""
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(module, "STRIP", 32)
    samples, references = features(1, 150), features(2, 120)
    samples[-3:] *= 10
    for count, dtype in ((150, torch.float32), (147, torch.float16)):
        strips = module._distances(samples, slice(0, count), references, slice(0, 120), CPU)
        assert {distances.dtype for _, distances in strips} == {dtype}
    assert precision_recall_adm(samples, references, CPU) == brute_force(samples, references, block)


def test_shares_are_a_little_above_the_exact_ones():
    samples, references = CASES["inception"]
    rounded, exact = precision_recall_adm(samples, references, CPU), precision_recall(samples, references, CPU)
    assert 0 < rounded.precision - exact.precision < 0.006
    assert 0 < rounded.recall - exact.recall < 0.006


def test_undefined_cases_are_refused():
    many, few = features(0, 10, 4), features(1, 3, 4)
    with pytest.raises(DeepCacheError, match="undefined for 3 samples: use at least 4"):
        precision_recall_adm(few, many, CPU)
    with pytest.raises(DeepCacheError, match="undefined for 3 references: use at least 4"):
        precision_recall_adm(many, few, CPU)
    with pytest.raises(DeepCacheError, match="same D"):
        precision_recall_adm(many, many[:, 1:], CPU)
    with pytest.raises(DeepCacheError, match="NaN, infinity"):
        precision_recall_adm(many, np.where(np.eye(10, 4) == 1, np.float32(np.nan), many), CPU)
