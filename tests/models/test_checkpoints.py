import json
from pathlib import Path

import pytest
import torch
import yaml

from deepcache import DeepCacheError
from deepcache.data.digits import load_digits
from deepcache.files import sha256
from deepcache.models.checkpoints import open_checkpoint, write_manifest
from deepcache.models.classifier import DigitsClassifier

ROOT = Path(__file__).resolve().parents[2]
SUITES = [yaml.safe_load((ROOT / f"config/{name}.yaml").read_text(encoding="utf-8")) for name in ("config", "emoji")]
SHIPPED = {
    name: entry for suite in SUITES for name, entry in suite["checkpoints"].items() if entry["source"] == "shipped"
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model" / "unet").mkdir(parents=True)
    (tmp_path / "model" / "unet" / "weights.safetensors").write_bytes(b"weights")
    return tmp_path / "model"


def test_manifest_opens_the_folder(folder, tmp_path):
    write_manifest(tmp_path / "manifest.json", "name", folder, "train", {})
    opened, manifest = open_checkpoint(tmp_path / "manifest.json")
    assert opened == folder
    assert manifest["sha256"] == {"unet/weights.safetensors": sha256(folder / "unet/weights.safetensors")}


def test_wrong_checksum_is_refused_with_both(folder, tmp_path):
    found = sha256(folder / "unet/weights.safetensors")
    with pytest.raises(DeepCacheError, match=rf"name: .*weights\.safetensors has SHA-256 {found}, expected {'0' * 64}"):
        write_manifest(tmp_path / "m.json", "name", folder, "shipped", {"unet/weights.safetensors": "0" * 64})
    assert not (tmp_path / "m.json").exists()


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(DeepCacheError, match=r"checkpoints\.name: no "):
        write_manifest(tmp_path / "m.json", "name", tmp_path, "train", {})


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_weights_that_changed_are_refused(folder, tmp_path, spoil):
    write_manifest(tmp_path / "manifest.json", "name", folder, "train", {})
    spoil(folder / "unet/weights.safetensors")
    with pytest.raises(DeepCacheError, match=r"weights\.safetensors is missing or not the file that"):
        open_checkpoint(tmp_path / "manifest.json")


def test_a_bad_manifest_is_named(tmp_path):
    (tmp_path / "m.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"m\.json: not a checkpoint manifest"):
        open_checkpoint(tmp_path / "m.json")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_checkpoints_are_what_config_and_record_say(name):
    folder = ROOT / SHIPPED[name]["folder"]
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert SHIPPED[name]["sha256"] == record["sha256"]
    assert {file: sha256(folder / file) for file in record["sha256"]} == record["sha256"]
    assert record["model"] == name
    assert (folder / "loss.png").stat().st_size > 0


def test_digits_have_a_margin_and_all_labels():
    images, labels = load_digits(16)
    assert images.shape == (1797, 1, 16, 16)
    assert images.dtype == torch.uint8
    assert images.max() == 255
    frame = images.clone()
    frame[..., 2:-2, 2:-2] = 0
    assert frame.sum() == 0
    assert torch.bincount(labels).min() > 170
    assert load_digits(32)[0].shape == (1797, 1, 32, 32)
    with pytest.raises(DeepCacheError, match="multiple of 8, not 12"):
        load_digits(12)


def test_classifier_knows_the_digits_and_its_features_are_standardised():
    classifier = DigitsClassifier.from_pretrained(ROOT / SHIPPED["digits-classifier"]["folder"])
    images, labels = load_digits(16)
    with torch.inference_mode():
        features = classifier.features(images)
        accuracy = (classifier(images).argmax(1) == labels).float().mean()
    assert accuracy > 0.98
    assert features.mean(dim=0).abs().max() < 0.02
    assert (features.var(dim=0) - 1).abs().max() < 0.02
