"""LPIPS against the lpips package, and on the digits classifier against the formula written out."""

import os
import warnings
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepcache import DeepCacheError
from deepcache.models import efficientnet
from deepcache.models.classifier import DigitsClassifier
from deepcache.package_weights import package_folder
from deepcache.quality.perceptual import load_perceptual
from tests.quality.pairs import CLASSIFIER, CPU, digits, digits_by_hand, pairs


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
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DModel"}', encoding="utf-8")
    refused(r"not the digits classifier \(of the class UNet2DModel\)")
    (tmp_path / "config.json").write_text('{"_class_name": "DigitsClassifier"}', encoding="utf-8")
    refused("not the digits classifier")


def test_on_efficientnet_it_is_the_formula_written_out():
    folder = package_folder(efficientnet.PACKAGE)
    perceptual, network = load_perceptual(folder, CPU), efficientnet.EfficientNetLite0(folder)
    a, b = pairs(3, 32, 32, 3)
    x, y = (network.stages(torch.from_numpy(images).permute(0, 3, 1, 2)) for images in (a, b))
    expected = sum(
        (F.normalize(one, dim=1) - F.normalize(other, dim=1)).square().sum(1).mean((1, 2))
        for one, other in zip(x, y, strict=True)
    )
    assert perceptual.kind == efficientnet.KIND
    assert perceptual.distances(a, b) == pytest.approx(expected.numpy(), rel=1e-4)
    assert (perceptual.distances(a, a) == 0).all()
