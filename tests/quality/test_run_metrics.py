"""All metrics of small runs of digits, from shards to JSON, against brute force in float64."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepcache import DeepCacheError
from deepcache.data.digits import load_digits
from deepcache.data.manifests import write_manifest
from deepcache.models.checkpoints import write_manifest as write_checkpoint
from deepcache.models.classifier import DigitsClassifier
from deepcache.quality import run_metrics as module
from deepcache.quality.inception_score import InceptionScore
from deepcache.quality.precision_recall_adm import precision_recall_adm
from deepcache.quality.run_features import RunFeatures
from deepcache.quality.run_metrics import FEATURES, run_metrics
from deepcache.quality.statistics import Statistics
from deepcache.sampling.shards import settings_hash, write_shard
from tests.quality import test_frechet, test_inception_score, test_precision_recall

CLASSIFIER = Path(__file__).resolve().parents[2] / "resources/checkpoints/digits-classifier"
SIDE, BATCH, SPLIT = 24, 10, 25
REFERENCE, KEPT = 200, 80  # images of the reference, and how many of their features it keeps
METRICS = ("fid", "sfid", "is", "precision", "recall", "kid", "kid_sd", "fid_clean")

DIGITS = load_digits(SIDE)[0].permute(0, 2, 3, 1).numpy()


def noisy(count: int) -> np.ndarray:
    """Digits that the reference does not have, as a sampler might draw them."""
    noise = np.random.default_rng(0).normal(scale=25, size=(count, SIDE, SIDE, 1))
    return (DIGITS[1000 : 1000 + count] + noise).clip(0, 255).astype(np.uint8)


RUNS = {
    "more images than features": noisy(150),
    "fewer images than features": noisy(30),
    "duplicates": np.concatenate([noisy(15), noisy(10), noisy(20)]),
    "copies of references, some of them twice": np.concatenate([DIGITS[:60], DIGITS[40:60], noisy(10)]),
    "four images": noisy(4),
    "constant": np.full((20, SIDE, SIDE, 1), 90, np.uint8),
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory, call) -> Path:
    """Reference statistics, with the manifest of the classifier beside them."""
    folder = tmp_path_factory.mktemp("reference")
    write_manifest(folder / "digits.json", "digits", "digits", None, "bundled")
    write_checkpoint(folder / "classifier.json", "digits-classifier", CLASSIFIER, "shipped", {})
    path = folder / "reference.npz"
    size = ("--image-size", SIDE, "--images", REFERENCE, "--features", KEPT, "--batch-size", BATCH)
    weights = ("--extractor", "digits-classifier", "--weights", folder / "classifier.json", "--device", "cpu")
    files = ("--dataset", folder / "digits.json", "--partial", folder / "partial", "--output", path)
    assert call("reference_statistics.py", *size, *weights, *files) == 0
    return path


@pytest.fixture
def measure(tmp_path, call, monkeypatch):
    """metrics.json of a run with these images; the sidecar names the shards from the last to the first."""
    monkeypatch.setattr(module, "InceptionScore", partial(InceptionScore, SPLIT))

    def measure(images: np.ndarray, reference: Path, weights: Path) -> dict:
        settings, names = {"seed": 0}, []
        for index, start in enumerate(range(0, len(images), 16)):
            names.append(f"{index:05d}.npz")
            write_shard(tmp_path / "shards" / names[-1], images[start : start + 16], settings, {})
        run = {"images": len(images), "settings_hash": settings_hash(settings), "shards": dict.fromkeys(names[::-1])}
        (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
        files = ("--run", tmp_path / "run.json", "--reference", reference, "--output", tmp_path / "metrics.json")
        options = ("--extractor", "digits-classifier", "--weights", weights, "--device", "cpu", "--batch-size", BATCH)
        assert call("metrics.py", *files, *options) == 0
        return json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))

    return measure


# Brute force


def clean(images: np.ndarray) -> torch.Tensor:
    """Grey images at the classifier's 16 pixels, (B, 1, 16, 16), by Pillow's antialiased bicubic filter in float."""
    pictures = (Image.fromarray(image[..., 0].astype(np.float32)) for image in images)
    resized = [np.asarray(picture.resize((16, 16), Image.Resampling.BICUBIC)).clip(0, 255) for picture in pictures]
    return torch.from_numpy(np.stack(resized))[:, None]


@torch.inference_mode()
def features(images: np.ndarray) -> dict[str, np.ndarray]:
    """The classifier's own features, in the same batches: ties shall be ties here too."""
    classifier, found = DigitsClassifier.from_pretrained(CLASSIFIER), []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        x = torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()
        pool, resized = classifier.features(x), classifier.features(clean(batch))
        found.append({"pool": pool, "spatial": classifier.spatial(x), "logits": classifier(x), "clean": resized})
    return {name: np.concatenate([one[name].numpy() for one in found]) for name in FEATURES}


def kernel_distance(samples: np.ndarray, references: np.ndarray, size: int) -> tuple[float, float]:
    """Unbiased, with the kernel (x.y / D + 1)^3, over 100 pairs of subsets."""

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / x.shape[1] + 1) ** 3

    rng, found = np.random.RandomState(0), []
    for _ in range(100):
        x, y = (one[rng.choice(len(one), size, replace=False)].astype(np.float64) for one in (samples, references))
        within = [(kernel(one, one).sum() - kernel(one, one).trace()) / (size * (size - 1)) for one in (x, y)]
        found.append(sum(within) - 2 * kernel(x, y).mean())
    return float(np.mean(found)), float(np.std(found))


def brute_force(images: np.ndarray) -> dict[str, float]:
    samples, references = features(images), features(DIGITS[:REFERENCE])
    wide = [{name: value.astype(np.float64) for name, value in one.items()} for one in (samples, references)]
    distances = {name: test_frechet.from_features(*(one[name] for one in wide)) for name in FEATURES}
    kept = references["pool"][:KEPT]
    found = test_precision_recall.brute_force(samples["pool"], kept, 3)
    size = min(len(images[:KEPT]), KEPT) // 2
    kid = kernel_distance(samples["pool"][:KEPT], kept, size)
    return {
        "fid": distances["pool"],
        "sfid": distances["spatial"],
        "is": test_inception_score.brute_force(samples["logits"], SPLIT),
        "precision": 100 * found.samples_inside / found.samples,
        "recall": 100 * found.references_inside / found.references,
        "kid": kid[0],
        "kid_sd": kid[1],
        "fid_clean": distances["clean"],
    }


@pytest.mark.parametrize("run", RUNS)
def test_equals_brute_force(run, reference, measure):
    found = measure(RUNS[run], reference, reference.parent / "classifier.json")
    expected = brute_force(RUNS[run])
    for name in METRICS:
        assert found[name] == pytest.approx(expected[name], rel=1e-6, abs=1e-8), name
    assert (found["precision"], found["recall"]) == (expected["precision"], expected["recall"])
    assert found["undefined"] == {}


def test_what_the_cases_are_for():
    """Ties, shares between nothing and all, and the clean way of resizing do occur in them."""
    copies, plain = (brute_force(RUNS[run]) for run in ("copies of references, some of them twice", next(iter(RUNS))))
    assert copies["precision"] >= 100 * 80 / 90
    assert 5 < plain["precision"] < 95
    assert 5 < plain["recall"] < 95
    assert abs(plain["fid"] - plain["fid_clean"]) > 0.01 * plain["fid"]
    assert brute_force(RUNS["constant"])["is"] == pytest.approx(1)


# What is written


def test_the_file_says_what_the_numbers_rest_on(reference, measure, tmp_path):
    found = measure(RUNS["fewer images than features"], reference, reference.parent / "classifier.json")
    keys = (
        "images",
        "references",
        "reference",
        "run",
        "settings_hash",
        "versions",
        "device",
        "tf32",
        "threads",
        "commit",
    )
    assert tuple(found) == (*METRICS, *keys, "undefined")
    assert (found["images"], found["references"]) == (30, KEPT)
    assert found["reference"] == Statistics.load(reference).about
    assert found["run"] == str(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("count", "undefined"),
    [(3, ("precision", "recall", "kid", "kid_sd")), (2, ("precision", "recall", "kid", "kid_sd")), (1, METRICS)],
)
def test_what_few_images_leave_undefined_is_null_with_its_reason(reference, measure, count, undefined):
    found = measure(noisy(count), reference, reference.parent / "classifier.json")
    assert tuple(name for name in METRICS if found[name] is None) == undefined
    assert sorted(found["undefined"]) == sorted(undefined)
    for reason in found["undefined"].values():
        assert reason
        assert "\n" not in reason
    assert f"undefined for {count} samples: use at least 4" in found["undefined"]["recall"]
    assert f"undefined for {count} samples and {KEPT} references" in found["undefined"]["kid_sd"]
    if count > 1:
        expected = test_frechet.from_features(features(noisy(count))["spatial"], features(DIGITS[:200])["spatial"])
        assert found["sfid"] == pytest.approx(expected, rel=1e-4)


def test_a_reference_from_before_clean_features_leaves_only_their_metric_undefined(reference, measure, tmp_path):
    with np.load(reference) as file:
        old = {key: file[key] for key in file.files if not key.endswith(("_clean", "_s"))}
    np.savez(tmp_path / "old.npz", **old)
    weights = reference.parent / "classifier.json"
    found, whole = (measure(noisy(30), path, weights) for path in (tmp_path / "old.npz", reference))
    assert (found["sfid"], found["fid_clean"]) == (None, None)
    assert found["undefined"] == {
        "sfid": "the statistics have no moments of spatial features: delete them and run again",
        "fid_clean": "the statistics have no moments of clean features: delete them and run again",
    }
    for name in ("fid", "is", "precision", "recall", "kid", "kid_sd"):
        assert found[name] == whole[name]


def made_up(seed: int, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(count, 5)).astype(np.float32) for name in FEATURES}


def made_up_reference() -> Statistics:
    found = made_up(0, 20)
    return Statistics.of(found["pool"], {}, spatial=found["spatial"], clean=found["clean"])


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_value_that_is_not_finite_is_undefined():
    found = made_up(1, 20)
    found["pool"] *= np.float32(1e35)
    metrics, undefined = run_metrics([found], made_up_reference(), torch.device("cpu"))
    assert undefined == dict.fromkeys(("kid", "kid_sd"), "the value is not finite: the features are too large")
    assert [name for name in METRICS if metrics[name] is None] == ["kid", "kid_sd"]


def test_adms_rounding_is_repeated_where_its_extractor_is():
    found, reference = made_up(1, 30), made_up_reference()
    assert "precision_adm" not in run_metrics([found], reference, torch.device("cpu"))[0]
    reference.about["extractor"] = "inception-adm"
    metrics, undefined = run_metrics([found], reference, torch.device("cpu"))
    expected = precision_recall_adm(found["pool"], reference.features, torch.device("cpu"))
    assert (metrics["precision_adm"], metrics["recall_adm"]) == (100 * expected.precision, 100 * expected.recall)
    assert metrics["precision"] is not None and not undefined


def test_broken_features_are_an_error_and_not_undefined():
    for name in FEATURES:
        broken = made_up(1, 20)
        broken[name][3, 2] = np.nan
        with pytest.raises(DeepCacheError, match="NaN or infinity"):
            run_metrics([made_up(2, 20), broken], made_up_reference(), torch.device("cpu"))


# Of one seed: the change of FID


def write_run(folder: Path, images: np.ndarray) -> Path:
    """A run of one shard; returns its sidecar."""
    write_shard(folder / "shards/00000.npz", images, {"seed": 0}, {})
    run = {"images": len(images), "settings_hash": settings_hash({"seed": 0}), "shards": {"00000.npz": None}}
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return folder / "run.json"


@pytest.mark.parametrize("noise", [0, 60])
def test_the_change_of_fid_is_paired(reference, call, tmp_path, noise):
    plain = noisy(60)
    shift = np.random.default_rng(1).normal(scale=noise, size=plain.shape)
    other = (plain + shift).clip(0, 255).astype(np.uint8)
    weights = ("--extractor", "digits-classifier", "--weights", reference.parent / "classifier.json")
    for name, images in (("one", other), ("two", plain)):
        files = ("--run", write_run(tmp_path / name, images), "--reference", reference, *weights)
        written = ("--features", tmp_path / f"{name}.npz", "--output", tmp_path / f"{name}.json")
        assert call("metrics.py", *files, *written, "--device", "cpu") == 0
        shutil.rmtree(tmp_path / name)
    runs = ("--run", tmp_path / "one.npz", "--baseline", tmp_path / "two.npz")
    output = ("--resamples", 40, "--output", tmp_path / "paired.json")
    assert call("paired.py", *runs, "--reference", reference, *output) == 0
    found = json.loads((tmp_path / "paired.json").read_text(encoding="utf-8"))
    low, value, high = (found[f"fid_change{end}"] for end in ("_low", "", "_high"))
    assert value == pytest.approx(brute_force(other)["fid"] - brute_force(plain)["fid"], rel=1e-6, abs=1e-8)
    assert low < value < high if noise else low == value == high == 0
    assert found["baseline"] == str(tmp_path / "two/run.json")


def test_features_that_cannot_be_compared_are_refused(reference, call, tmp_path, capsys):
    about = {"extractor": "digits-classifier", "extractor_sha256": {"model.safetensors": "another"}, "run": "x"}
    path, output = tmp_path / "features.npz", tmp_path / "paired.json"

    def refused(message: str) -> None:
        files = ("--run", path, "--baseline", path, "--reference", reference, "--output", output)
        assert call("paired.py", *files) == 1
        assert message in capsys.readouterr().err
        assert not output.exists()

    RunFeatures(np.zeros((4, 48), np.float32), about).save(path)
    refused(f"error: {path}: features of another extractor than those of {reference}")
    path.write_bytes(path.read_bytes()[:100])
    refused(f"error: {path}: not readable as features of a run")
