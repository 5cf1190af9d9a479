import numpy as np
import pytest
import torch

from deepcache import DeepCacheError
from deepcache.quality import precision_recall as module
from deepcache.quality.precision_recall import PrecisionRecall, precision_recall
from tests.conftest import DEVICES


def squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.stack([((second.astype(np.float64) - row.astype(np.float64)) ** 2).sum(axis=1) for row in first])


def squared_radii(images: np.ndarray, k: int) -> np.ndarray:
    distances = squared_distances(images, images)
    np.fill_diagonal(distances, np.inf)
    return np.sort(distances, axis=1)[:, k - 1]


def brute_force(samples: np.ndarray, references: np.ndarray, k: int) -> PrecisionRecall:
    between = squared_distances(samples, references)
    samples_inside = (between <= squared_radii(references, k)).any(axis=1).sum()
    references_inside = (between <= squared_radii(samples, k)[:, None]).any(axis=0).sum()
    return PrecisionRecall(int(samples_inside), len(samples), int(references_inside), len(references))


def normal(seed: int, count: int, dimensions: int, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(count, dimensions)) + shift).astype(np.float32)


def lattice(seed: int, count: int, dimensions: int, shift: float = 0.0) -> np.ndarray:
    """Points with coordinates 0, 1 or 2: most distances are ties."""
    return (np.random.default_rng(seed).integers(0, 3, (count, dimensions)) + shift).astype(np.float32)


def on_the_rim() -> tuple[np.ndarray, np.ndarray]:
    """Groups of four references on a line, and samples on the rim of one ball each; every step is exact in float64."""
    rng = np.random.default_rng(0)
    centres, steps = rng.integers(-(10**7), 10**7, (40, 60)), rng.integers(-5, 6, (40, 60)) / 16
    return centres - steps, np.concatenate([centres, centres + steps / 4, centres + steps / 2, centres + steps])


REAL = normal(0, 150, 30)
CASES = {
    "random": (normal(1, 300, 12), normal(2, 170, 12, 0.3)),
    "fewer images than dimensions": (normal(1, 60, 200), normal(2, 40, 200)),
    "ties": (lattice(1, 300, 6), lattice(2, 150, 6)),
    "ties at distances that rounding moves": (
        lattice(1, 150, 9) * np.float32(0.1),
        lattice(2, 90, 9) * np.float32(0.1),
    ),
    "ties on the rim of one ball": on_the_rim(),
    "near ties, far from zero": (
        lattice(1, 200, 5).astype(float) / 16 + 1e7,
        lattice(2, 90, 5).astype(float) / 16 + 1e7,
    ),
    "ties far from zero": (lattice(1, 200, 5, 1e6), lattice(2, 90, 5, 1e6)),
    "far from zero": (normal(1, 250, 12, 1e4), normal(2, 150, 12, 1e4)),
    "duplicates in each set": (np.repeat(normal(1, 60, 30), 3, axis=0), np.repeat(normal(2, 40, 30), 4, axis=0)),
    "samples that are references": (np.concatenate([REAL[::2], normal(1, 60, 30)]), REAL),
    "equal sets": (REAL, REAL[::-1]),
    "mirrored": (np.concatenate([REAL, -REAL]), np.concatenate([REAL[:50], -REAL[50:90]])),
    "constant": (np.full((70, 5), 0.3, np.float32), np.full((40, 5), 0.3, np.float32)),
    "all zero": (np.zeros((70, 5), np.float32), np.zeros((40, 5), np.float32)),
    "constant samples": (np.full((70, 30), 0.3, np.float32), REAL),
    "all at one distance": (np.eye(60, dtype=np.float32)[np.arange(90) % 60], np.eye(60, dtype=np.float32)),
    "just enough images": (normal(1, 4, 3), normal(2, 4, 3)),
    "float16": (normal(1, 200, 12).astype(np.float16), normal(2, 120, 12).astype(np.float16)),
    "float64": (normal(1, 200, 12) / 3.0, normal(2, 120, 12) / 3.0),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("block", [2048, 32])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_counts_equal_brute_force(case, k, block, device, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    samples, references = CASES[case]
    assert precision_recall(samples, references, torch.device(device), k) == brute_force(samples, references, k)


@pytest.mark.parametrize("case", CASES)
def test_radii_equal_brute_force_to_the_last_bit(case, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 50)
    for images in CASES[case]:
        found = module._radii(images, 3, torch.device("cpu"), lambda: None)
        assert (found == squared_radii(images, 3)).all()


def test_a_rim_belongs_to_its_ball():
    assert precision_recall(*on_the_rim(), torch.device("cpu")).precision == 1


def test_shares():
    """On a line: references 0, 1, 2, 3 have balls up to 2 and 3 wide, samples 100 and its neighbours reach none."""
    references = np.array([[0.0], [1], [2], [3]])
    samples = np.array([[-3.0], [-3.5], [100], [101], [102], [103]])
    found = precision_recall(samples, references, torch.device("cpu"))
    assert found == PrecisionRecall(samples_inside=1, samples=6, references_inside=4, references=4)
    assert (found.precision, found.recall) == (pytest.approx(1 / 6), 1.0)


@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_lower_bounds_are_below_the_distances_and_tight(shift):
    first, second = normal(0, 200, 300, shift), np.concatenate([normal(1, 150, 300, shift), normal(0, 50, 300, shift)])
    blocks = [module.load(images, slice(None), torch.device("cpu")) for images in (first, second)]
    gap = squared_distances(first, second) - module._lower_bounds(*blocks).numpy()
    assert (gap >= 0).all()
    assert gap.max() < 1e-12 * ((first**2).sum(axis=1).max() + (second**2).sum(axis=1).max())


def test_equal_rows_have_equal_distances_however_many_are_computed():
    points, others = normal(0, 3000, 333), normal(1, 3000, 333)
    pairs = np.arange(3000)
    together = module._distances(points, pairs, others, pairs)
    alone = [module._distances(points, pairs[i : i + 1], others, pairs[i : i + 1])[0] for i in range(0, 3000, 100)]
    assert (together[::100] == alone).all()
    assert (together == module._distances(others, pairs, points, pairs)).all()


def test_undefined_cases_are_refused():
    many, few, cpu = normal(0, 10, 4), normal(1, 3, 4), torch.device("cpu")
    with pytest.raises(DeepCacheError, match="undefined for 3 samples: use at least 4"):
        precision_recall(few, many, cpu)
    with pytest.raises(DeepCacheError, match="undefined for 3 references: use at least 4"):
        precision_recall(many, few, cpu)
    with pytest.raises(DeepCacheError, match="same D"):
        precision_recall(many, many[:, 1:], cpu)
    with pytest.raises(DeepCacheError, match="k must be at least 1"):
        precision_recall(many, many, cpu, k=0)
    for broken in (np.nan, np.inf):
        with pytest.raises(DeepCacheError, match="NaN, infinity"):
            precision_recall(many, np.where(np.eye(10, 4) == 1, np.float32(broken), many), cpu)
