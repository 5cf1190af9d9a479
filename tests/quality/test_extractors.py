import pickle
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from cleanfid.fid import get_folder_features
from PIL import Image
from safetensors.torch import save_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from deepcache import DeepCacheError
from deepcache.models import efficientnet
from deepcache.models.classifier import DigitsClassifier
from deepcache.package_weights import package_folder
from deepcache.quality.extractors import EXTRACTORS, extract, load_extractor

CPU = torch.device("cpu")
CLASSIFIER = Path(__file__).resolve().parents[2] / "resources/checkpoints/digits-classifier"
FOLDERS = {"digits-classifier": CLASSIFIER, efficientnet.KIND: package_folder(efficientnet.PACKAGE)}
NAMES = ("pool", "spatial", "logits", "clean")


def images(count=1, side=40, channels=3, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, channels), dtype=np.uint8)
    return coarse.repeat(side // 4, axis=1).repeat(side // 4, axis=2)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Nothing may be downloaded."""

    def refuse(*arguments):
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def library(inception) -> FeatureExtractorInceptionV3:
    """torch-fidelity's own extractor."""
    return FeatureExtractorInceptionV3(
        "library", ["2048", "logits_unbiased"], feature_extractor_weights_path=next(inception.iterdir())
    )


def through_layers(library, x: torch.Tensor) -> torch.Tensor:
    """Pooled features, (B, 2048), of what the first layer sees."""
    for name, layer in library.named_children():
        if name != "fc":
            x = layer(x)
    return x.flatten(1)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("digits-classifier", (48, 128, 10, 48)),
        ("efficientnet-lite0", (1280, 1008, 1000, 1280)),
        ("inception-adm", (2048, 2023, 1008, 2048)),
        ("inception-pytorch-fid", (2048, 2023, 1008, 2048)),
    ],
)
def test_features_have_their_sizes_and_only_those_asked_for_come(inception, kind, sizes):
    folder = FOLDERS.get(kind, inception)
    [found] = extract([images()], kind, folder, CPU, NAMES)
    assert list(found) == list(NAMES)
    for name, size in zip(NAMES, sizes, strict=True):
        assert found[name].shape == (1, size)
        assert found[name].dtype == np.float32
        assert np.isfinite(found[name]).all()
        assert found[name].std() > 1e-3
    for alone in ("spatial", "clean"):
        [asked] = extract([images()], kind, folder, CPU, [alone])
        assert list(asked) == [alone]
        assert np.array_equal(asked[alone], found[alone])


def test_batches_are_read_one_at_a_time():
    read = []

    def batches():
        for number in range(3):
            read.append(number)
            yield images(number + 1, 16, 1)

    features = extract(batches(), "digits-classifier", CLASSIFIER, CPU)
    assert read == []
    assert next(features)["pool"].shape == (1, 48)
    assert read == [0]
    assert [batch["pool"].shape for batch in features] == [(2, 48), (3, 48)]


def test_adm_equals_torch_fidelity(inception, library):
    [found] = extract([images()], "inception-adm", inception, CPU, ["logits", "pool"])
    pool, logits = library(torch.from_numpy(images()).permute(0, 3, 1, 2))
    assert np.array_equal(found["pool"], pool.numpy())
    assert np.array_equal(found["logits"], logits.numpy())


def test_pytorch_fid_resizes_about_pixel_centres(inception, library):
    """An independent computation: the same layers one after the other on pixels resized as pytorch-fid does."""
    x = F.interpolate(
        torch.from_numpy(images()).permute(0, 3, 1, 2) / 255, size=(299, 299), mode="bilinear", align_corners=False
    )
    x = through_layers(library, 2 * x - 1)
    [found] = extract([images()], "inception-pytorch-fid", inception, CPU, ["pool", "logits"])
    assert np.allclose(found["pool"], x.numpy(), rtol=1e-5, atol=1e-6)
    assert np.allclose(found["logits"], x.numpy() @ library.fc.weight.T.numpy(), rtol=1e-4, atol=1e-5)
    [adm] = extract([images()], "inception-adm", inception, CPU, ["pool"])
    assert np.abs(found["pool"] - adm["pool"]).max() > 1e-3, "the two ways of resizing give other features"


@pytest.mark.parametrize("kind", ["inception-adm", "inception-pytorch-fid"])
def test_clean_features_equal_clean_fid(inception, library, tmp_path, kind):
    """clean-fid's own way from files to features, with the normalisation of its network before the same layers."""
    two = images(2)
    for number, image in enumerate(two):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    theirs = get_folder_features(
        str(tmp_path), lambda x: through_layers(library, (x - 128) / 128), num_workers=0, device=CPU, verbose=False
    )
    [found] = extract([two], kind, inception, CPU, ["clean", "pool"])
    assert np.allclose(found["clean"], theirs, rtol=1e-5, atol=1e-6)
    assert np.abs(found["clean"] - found["pool"]).max() > 1e-3


def test_clean_features_of_digits():
    """torch's own antialiased bicubic filter, not quantised, in place of Pillow's."""
    features = load_extractor("digits-classifier", CLASSIFIER, CPU, ["clean", "pool"])
    x = torch.from_numpy(images(3)).permute(0, 3, 1, 2).float()
    x = F.interpolate(x, size=(16, 16), mode="bicubic", antialias=True, align_corners=False).clamp(0, 255)
    found = features(images(3))
    expected = DigitsClassifier.from_pretrained(CLASSIFIER).features(x).detach().numpy()
    assert np.allclose(found["clean"], expected, atol=1e-3)
    assert np.abs(found["pool"] - expected).max() > 0.1
    unchanged = features(images(3, 16, 1))
    assert np.allclose(unchanged["clean"], unchanged["pool"], atol=1e-5)


def test_spatial_features_are_pixels_with_seven_channels_each(inception, library):
    """Number 7 (17 y + x) + c is channel c at (x, y), behind the ReLU: TensorFlow's order."""
    kept = []
    handle = library.Mixed_6d.branch1x1.register_forward_hook(lambda layer, inputs, output: kept.append(output.clone()))
    library(torch.from_numpy(images()).permute(0, 3, 1, 2))
    handle.remove()
    [found] = extract([images()], "inception-adm", inception, CPU, ["spatial"])
    for channel, y, x in ((0, 0, 0), (6, 16, 16), (3, 5, 11)):
        assert np.array_equal(found["spatial"][:, 7 * (17 * y + x) + channel], kept[0][:, channel, y, x].numpy())
    assert found["spatial"].min() == 0


def test_spatial_features_of_digits_are_pixels_with_two_channels_each():
    found = load_extractor("digits-classifier", CLASSIFIER, CPU, ["spatial"])
    blank = np.zeros((1, 16, 16, 1), np.uint8)
    dot = blank.copy()
    dot[0, 12, 4] = 255
    changed = np.flatnonzero(found(dot)["spatial"][0] != found(blank)["spatial"][0])
    y, x, channel = np.unravel_index(changed, (8, 8, 2))
    assert set(channel) == {0, 1}
    assert y.min() >= 5 and y.max() <= 7
    assert x.min() >= 1 and x.max() <= 3


@pytest.mark.parametrize("kind", EXTRACTORS)
def test_grey_images_are_as_coloured_ones(inception, kind):
    grey = images(channels=1)
    features = load_extractor(kind, FOLDERS.get(kind, inception), CPU, ["pool", "clean"])
    found, coloured = features(grey), features(np.repeat(grey, 3, axis=3))
    for name in found:
        assert np.allclose(found[name], coloured[name], atol=1e-5)


def test_weights_in_safetensors_are_the_same(inception, tmp_path):
    state = torch.load(next(inception.iterdir()), weights_only=True)
    save_file(state, tmp_path / "inception.safetensors")
    [found], [expected] = (extract([images()], "inception-adm", folder, CPU) for folder in (tmp_path, inception))
    assert np.array_equal(found["pool"], expected["pool"])


def refused(kind, folder, names=("pool",)):
    with pytest.raises(DeepCacheError) as error:
        load_extractor(kind, folder, CPU, names)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500
    return str(error.value)


def test_unknown_names_are_refused(inception):
    assert refused("vgg", inception) == f"extractor 'vgg' is not known: use {', '.join(EXTRACTORS)}"
    assert "has no features 2048: use pool, spatial, logits, clean" in refused("inception-adm", inception, ["2048"])


class Evil:
    """Unpickled the ordinary way, it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.mkdir, (Path(self.path),)


def test_code_in_the_weights_is_refused_and_not_run(tmp_path):
    torch.save({"Conv2d_1a_3x3.conv.weight": Evil(tmp_path / "made")}, tmp_path / "x.pth")
    assert "x.pth: holds more than weights" in refused("inception-adm", tmp_path)
    (tmp_path / "x.pth").write_bytes(pickle.dumps(Evil(tmp_path / "made"), protocol=2))
    assert "x.pth: holds more than weights" in refused("inception-adm", tmp_path)
    assert not (tmp_path / "made").exists()


def test_wrong_weights_are_refused(tmp_path):
    assert f"{tmp_path}: must hold one file of Inception's weights" in refused("inception-adm", tmp_path)
    torch.save({"weight": torch.zeros(1)}, tmp_path / "x.pth")
    assert "x.pth: not torch-fidelity's Inception" in refused("inception-adm", tmp_path)
    torch.save([1], tmp_path / "x.pth")
    assert "x.pth: not torch-fidelity's Inception" in refused("inception-adm", tmp_path)
    (tmp_path / "x.pth").write_bytes(b"")
    assert "x.pth: not readable as weights" in refused("inception-adm", tmp_path)
    (tmp_path / "y.safetensors").write_bytes(b"nothing")
    assert "must hold one file of Inception's weights (*.pth, *.safetensors), not x.pth, y.safetensors" in refused(
        "inception-adm", tmp_path
    )
    (tmp_path / "x.pth").unlink()
    assert "y.safetensors: not readable as weights" in refused("inception-adm", tmp_path)
