"""PSNR, SSIM and LPIPS of pairs of images, against scikit-image, lpips and formulas written out."""

import json
import math
import os
import warnings
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn
from torchvision.models import alexnet

from deepcache import DeepCacheError
from deepcache.data.digits import load_digits
from deepcache.metrics.paired_fidelity import PairedFidelity, mean_interval, psnr, similarities, squared_errors
from deepcache.metrics.perceptual import load_perceptual
from deepcache.models.checkpoints import write_manifest
from deepcache.models.classifier import DigitsClassifier
from deepcache.sampling.shards import settings_hash, write_shard

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


@pytest.fixture(scope="session")
def trunk() -> nn.Module:
    """torchvision's AlexNet with random weights under which the features neither vanish nor explode."""
    model, generator = alexnet(), torch.Generator().manual_seed(0)
    for layer in model.features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
    return model.eval()


@pytest.fixture(scope="session")
def trunk_folder(trunk, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("alexnet")
    torch.save(trunk.state_dict(), folder / "alexnet-owt-7be5be79.pth")
    return folder


def package(net: nn.Module, **options) -> lpips.LPIPS:
    """lpips' own metric, put upon another trunk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False, **options)
    model.net = net
    return model


class FiveLayers(nn.Module):
    """The maps behind AlexNet's five ReLUs, told apart by their kind, not by their numbers."""

    def __init__(self, features: nn.Module):
        super().__init__()
        self.features = features

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for layer in self.features[:-1]:  # without the last pooling
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)
            if isinstance(layer, nn.ReLU):
                found.append(x)
        return found


# PSNR and SSIM


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [16, 40])
def test_psnr_and_ssim_are_scikit_images(channels, side):
    a, b = pairs(5, side, side, channels)
    a, b = a[1:], b[1:]
    errors, found = squared_errors(a, b), similarities(a, b)
    for x, y, error, similarity in zip(a, b, errors, found, strict=True):
        assert psnr(error) == pytest.approx(peak_signal_noise_ratio(x, y, data_range=255), rel=1e-12)
        if channels == 1:
            expected = structural_similarity(x[..., 0], y[..., 0], data_range=255)
        else:
            each = [structural_similarity(x[..., c], y[..., c], data_range=255) for c in range(3)]
            expected = np.mean(each)
        assert similarity == pytest.approx(expected, rel=1e-12)
    assert (np.diff(errors) > 0).all()
    assert found.max() < 0.99


def test_a_constant_offset():
    """With d between two flat images: PSNR is 20 log10(255 / d), SSIM its first factor, that of the means."""
    a, b = np.full((1, 16, 16, 1), 100, np.uint8), np.full((1, 16, 16, 1), 110, np.uint8)
    assert psnr(squared_errors(a, b)[0]) == pytest.approx(20 * math.log10(25.5))
    steady = (0.01 * 255) ** 2
    assert similarities(a, b)[0] == pytest.approx((2 * 100 * 110 + steady) / (100**2 + 110**2 + steady))


def test_identical_images():
    a, _ = pairs(2)
    assert psnr(squared_errors(a, a)[0]) is None
    assert similarities(a, a) == pytest.approx([1, 1])


def test_ssim_needs_a_window():
    a = np.zeros((1, 6, 16, 1), np.uint8)
    with pytest.raises(DeepCacheError, match="at least 7x7 pixels, not 16x6"):
        similarities(a, a)


# Means and intervals


def test_the_mean_psnr_is_that_of_the_mean_error():
    a, b = pairs(8)
    errors = squared_errors(a, b)
    fidelity = PairedFidelity(errors, similarities(a, b), np.linspace(0, 1, 8))
    found = fidelity.summary()
    mean = np.mean((a.astype(float) - b) ** 2)
    assert found["psnr_db"] == pytest.approx(10 * math.log10(255**2 / mean))
    assert found["lpips"] == pytest.approx(0.5)
    for name in ("psnr_db", "ssim", "lpips"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]
    assert found["psnr_db_high"] == psnr(mean_interval(errors)[0])
    images = fidelity.per_image()
    assert images["psnr_db"][0] is None
    assert images["psnr_db"][1:] == [round(psnr(error), 6) for error in errors[1:]]
    assert images["ssim"][0] == 1
    json.dumps([found, images], allow_nan=False)


def test_without_any_difference_psnr_and_its_interval_are_infinite():
    found = PairedFidelity(np.zeros(3), np.ones(3), np.zeros(3)).summary()
    assert [found[name] for name in ("psnr_db", "psnr_db_low", "psnr_db_high")] == [None] * 3
    assert [found[name] for name in ("ssim", "ssim_low", "ssim_high")] == [1] * 3


def test_one_image_has_no_interval():
    found = PairedFidelity(np.array([4.0]), np.array([0.5]), np.array([0.1])).summary()
    assert found["psnr_db"] == pytest.approx(20 * math.log10(255 / 2))
    assert [value for name, value in found.items() if name.endswith(("_low", "_high"))] == [None] * 6


def test_the_interval_is_the_normal_one_where_there_are_many_images():
    values = np.random.default_rng(3).exponential(size=400)
    low, high = mean_interval(values)
    margin = 1.96 * values.std() / math.sqrt(len(values))
    assert low < values.mean() < high
    assert low == pytest.approx(values.mean() - margin, abs=0.15 * margin)
    assert high == pytest.approx(values.mean() + margin, abs=0.15 * margin)
    assert mean_interval(values) == (low, high)
    assert mean_interval(values, seed=1) != (low, high)


# LPIPS


@pytest.mark.parametrize("channels", [1, 3])
def test_lpips_is_the_packages(trunk, trunk_folder, channels):
    a, b = pairs(4, 40, 48, channels)
    x, y = (torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1) / 127.5 - 1 for images in (a, b))
    with torch.no_grad():
        expected = package(FiveLayers(trunk.features))(x, y).flatten().numpy()
    perceptual = load_perceptual(trunk_folder, CPU)
    found = perceptual.distances(a, b)
    assert perceptual.kind == "alexnet"
    assert found.dtype == np.float64
    assert found == pytest.approx(expected, rel=1e-5)
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    assert (perceptual.distances(a, a) == 0).all()


@pytest.mark.parametrize(("height", "width", "enlarged"), [(16, 24, (64, 96)), (24, 16, (96, 64)), (32, 40, (32, 40))])
def test_small_images_are_enlarged_for_alexnet(trunk, trunk_folder, height, width, enlarged):
    a, b = pairs(3, height, width)
    x, y = (torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1 for images in (a, b))
    x, y = (F.interpolate(z, size=enlarged, mode="bilinear", align_corners=False) for z in (x, y))
    with torch.no_grad():
        expected = package(FiveLayers(trunk.features))(x, y).flatten().numpy()
    assert load_perceptual(trunk_folder, CPU).distances(a, b) == pytest.approx(expected, rel=1e-4)


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


def test_the_classifiers_distance_is_the_formula():
    a, b = digits()
    perceptual = load_perceptual(CLASSIFIER, CPU)
    found = perceptual.distances(a, b)
    assert perceptual.kind == "digits-classifier"
    assert found == pytest.approx(digits_by_hand(a, b), rel=1e-4)
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    colours = [np.stack([0.5 * image[..., 0], image[..., 0], image[..., 0]], -1).astype(np.uint8) for image in (a, b)]
    assert perceptual.distances(*colours) == pytest.approx(digits_by_hand(*colours), rel=1e-4)


def test_the_classifiers_distance_is_the_packages_baseline():
    """`lpips=False`: the package's own sum, on the classifier's maps in place of AlexNet's."""

    class Maps(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = DigitsClassifier.from_pretrained(CLASSIFIER).body

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [self.body[: 2 * number](x) for number in range(1, 6)]

    model = package(Maps(), lpips=False)
    model.scaling_layer = nn.Identity()
    a, b = (images[:, 4:20, 4:20] for images in digits())
    x, y = (torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1 for images in (a, b))
    with torch.no_grad():
        expected = model(x, y).flatten().numpy()
    assert load_perceptual(CLASSIFIER, CPU).distances(a, b) == pytest.approx(expected, rel=1e-4)


def test_images_of_different_shapes_are_refused():
    a, b = digits()
    with pytest.raises(DeepCacheError, match="must have one shape"):
        load_perceptual(CLASSIFIER, CPU).distances(a, b[:, 1:])


class Harmful:
    """A pickle that would make a folder."""

    def __init__(self, place: Path):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def test_folders_that_hold_neither(tmp_path):
    def refused(message: str) -> None:
        with pytest.raises(DeepCacheError, match=message) as raised:
            load_perceptual(tmp_path, CPU)
        assert str(raised.value).startswith(str(tmp_path))
        assert "\n" not in str(raised.value)

    path = tmp_path / "alexnet.pth"
    refused(r"must hold config\.json, or one file of AlexNet's weights \(\*\.pth\), not none")
    torch.save({"features.0.weight": torch.zeros(64, 3, 11, 11)}, path)
    refused("not torchvision's AlexNet .*features.0.bias")
    torch.save(["features"], path)
    refused("not torchvision's AlexNet")
    path.write_bytes(b"PK\x03\x04 and no more")
    refused("not torchvision's AlexNet")
    torch.save(Harmful(tmp_path / "harm"), path)
    refused("holds more than weights, and nothing in it is run")
    assert not (tmp_path / "harm").exists()
    (tmp_path / "second.pth").touch()
    refused(r"not alexnet\.pth, second\.pth")
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    refused(r"not the digits classifier \(of the class UNet2DModel\)")
    (tmp_path / "config.json").write_text('{"_class_name": "DigitsClassifier"}')
    refused("not the digits classifier")


# The program


@pytest.fixture
def compare(tmp_path, call):
    """Run the program; returns its exit status, or what it wrote."""

    def compare(*options):
        output = tmp_path / "fidelity.json"
        status = call("paired_fidelity.py", "--device", "cpu", "--output", output, "--perceptual", CLASSIFIER, *options)
        assert output.exists() == (status == 0)
        return status or json.loads(output.read_text())

    return compare


def write_run(folder: Path, images: np.ndarray) -> Path:
    """A run of two shards; its sidecar names them from the last to the first."""
    settings = {"folder": str(folder)}
    for index, part in enumerate((images[:3], images[3:])):
        write_shard(folder / "shards" / f"{index:05d}.npz", part, settings, {})
    run = {
        "images": len(images),
        "settings_hash": settings_hash(settings),
        "shards": {"00001.npz": "", "00000.npz": ""},
    }
    (folder / "run.json").write_text(json.dumps(run))
    return folder / "run.json"


def write_folder(folder: Path, images: np.ndarray) -> Path:
    """Written from the last to the first."""
    folder.mkdir()
    for index in reversed(range(len(images))):
        Image.fromarray(images[index].squeeze()).save(folder / f"{index:05d}.png")
    return folder


def error(capsys) -> str:
    return capsys.readouterr().err.splitlines()[-1]


RUN = "digits-ddpm/ddim-20/{}/seed-0"


def test_two_runs(compare, tmp_path, trunk_folder):
    a, b = pairs(7)
    run, baseline = (
        write_run(tmp_path / RUN.format(method), images) for method, images in (("uniform-n5-b2", b), ("full", a))
    )
    manifest = write_manifest(tmp_path / "alexnet.json", "lpips-alexnet", trunk_folder, "local", {})
    files = ("--run", run, "--baseline", baseline, "--perceptual", tmp_path / "alexnet.json")
    found = compare(*files, "--batch-size", 3)
    distances = load_perceptual(trunk_folder, CPU).distances(b, a)
    fidelity = PairedFidelity(squared_errors(b, a), similarities(b, a), distances)
    metrics = [name + end for name in ("psnr_db", "ssim", "lpips") for end in ("", "_low", "_high")]
    origin = ["images", "run", "baseline", "perceptual", "versions", "device", "threads", "commit", "per_image"]
    assert list(found) == metrics + origin
    assert [found[name] for name in metrics] == pytest.approx([fidelity.summary()[name] for name in metrics], rel=1e-5)
    for name, values in fidelity.per_image().items():
        assert found["per_image"][name][1:] == pytest.approx(values[1:], abs=2e-6)
    assert found["per_image"]["psnr_db"][0] is None
    assert (found["images"], found["run"], found["baseline"]) == (7, str(run), str(baseline))
    assert found["perceptual"] == {"kind": "alexnet", **manifest}


def test_two_folders_are_paired_in_order_of_the_names(compare, tmp_path):
    a, b = digits()
    images, baseline = write_folder(tmp_path / "b", b), write_folder(tmp_path / "a", a)
    found = compare("--images", images, "--baseline-images", baseline)
    expected = [None, *(round(psnr(value), 6) for value in squared_errors(b, a)[1:])]
    assert found["per_image"]["psnr_db"] == expected
    assert found["per_image"]["ssim"] == pytest.approx(similarities(b, a), abs=1e-6)
    assert found["per_image"]["lpips"] == pytest.approx(digits_by_hand(b, a), abs=1e-4)
    assert (found["run"], found["baseline"]) == (str(images), str(baseline))
    assert found["perceptual"] == {"kind": "digits-classifier", "folder": str(CLASSIFIER)}


def test_other_counts_or_sizes_are_refused(compare, tmp_path, capsys):
    a, b = pairs(4)
    full, fewer = write_folder(tmp_path / "full", a), write_folder(tmp_path / "fewer", b[:3])
    assert compare("--images", fewer, "--baseline-images", full) == 1
    assert error(capsys) == f"error: {fewer} holds 3 images, but {full} 4: they are not pairs"
    narrow = write_folder(tmp_path / "narrow", b[:, :, :40])
    assert compare("--images", narrow, "--baseline-images", full) == 1
    expected = f"error: {narrow} holds images of 40x40x3 (HxWxC), but {full} of 40x48x3"
    assert error(capsys) == expected


@pytest.mark.parametrize(
    ("other", "differing"),
    [
        ("digits-ldm/ddim-20/full/seed-0", "model"),
        ("digits-ddpm/ddim-50/full/seed-0", "sampler"),
        ("digits-ddpm/ddim-20/full/seed-1", "seed"),
        ("digits-ldm/ddim-10/full/seed-2", "model, sampler, seed"),
    ],
)
def test_runs_that_differ_in_more_than_the_method_are_refused(compare, tmp_path, capsys, other, differing):
    run, baseline = tmp_path / RUN.format("uniform-n5-b2") / "run.json", tmp_path / other / "run.json"
    assert compare("--run", run, "--baseline", baseline) == 1
    assert error(capsys) == f"error: {run} and {baseline} differ in {differing}: nothing to compare"


def test_a_run_is_compared_with_a_run(compare, tmp_path, capsys):
    assert compare("--run", tmp_path / "run.json", "--baseline-images", tmp_path) == 1
    assert error(capsys) == "error: give --run with --baseline, or --images with --baseline-images"
    assert compare("--images", tmp_path) == 2
    assert "one of the arguments --baseline --baseline-images is required" in error(capsys)


def test_help(call, capsys):
    assert call("paired_fidelity.py", "--help") == 0
    assert "PSNR, SSIM and LPIPS" in capsys.readouterr().out
