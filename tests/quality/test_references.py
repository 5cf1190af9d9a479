"""Reference statistics: what they are of, and that it does not matter where the computation was stopped."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcache import DeepCacheError
from deepcache.data.crop import prepare
from deepcache.data.datasets import open_images, read_prepared
from deepcache.data.formats.npz import Npz
from deepcache.data.manifests import write_manifest
from deepcache.data.random_datasets import random_images, write_npz, write_random
from deepcache.models.checkpoints import write_manifest as write_checkpoint
from deepcache.quality import references
from deepcache.quality.partial import Partial
from deepcache.quality.references import compute_statistics
from deepcache.quality.statistics import KINDS, Statistics
from deepcache.sampling.shards import settings_hash, write_shard

ROOT = Path(__file__).resolve().parents[2]
CLASSIFIER = ROOT / "resources/checkpoints/digits-classifier"
COUNT = 50
SHAPES = {"pool": 6, "spatial": 10, "clean": 4}


def features(batch):
    """A made-up extractor: each image's sums over blocks of pixels."""
    flat = batch.reshape(len(batch), -1).astype(np.float32) / 255
    return {name: flat[:, : size * 20].reshape(len(batch), size, 20).sum(axis=2) for name, size in SHAPES.items()}


@pytest.fixture
def images(tmp_path):
    write_random("cifar10", tmp_path / "data", COUNT, 32, 0)
    return open_images("cifar10", tmp_path / "data")


ABOUT = {"dataset": "x", "images": COUNT, "crop": "center", "image_size": 16, "extractor": "made-up", "features": 30}


def partial(tmp_path, about=ABOUT, every=60.0):
    return Partial(tmp_path / "partial", about, every)


def same(first: Statistics, second: Statistics) -> bool:
    names = ("mu", "sigma", "features", "mu_s", "sigma_s", "mu_clean", "sigma_clean")
    return first.about == second.about and all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in names
    )


def test_statistics_are_of_the_prepared_images(images, tmp_path):
    found = compute_statistics(images, features, ABOUT, partial(tmp_path), batch_size=8)
    prepared = np.stack([prepare(image, 16, "center") for image in images.read()])
    expected = features(prepared)
    assert np.allclose(found.mu, expected["pool"].mean(axis=0), rtol=1e-6)
    assert np.allclose(found.sigma_s, np.cov(expected["spatial"].astype(np.float64), rowvar=False), rtol=1e-9)
    assert np.allclose(found.sigma_clean, np.cov(expected["clean"].astype(np.float64), rowvar=False), rtol=1e-9)
    assert np.array_equal(found.features, expected["pool"][:30])
    assert found.about.items() >= {"images": COUNT, "features": 30, "moments": references.COMPUTED}.items()
    chain = b""
    for image in prepared:
        chain = hashlib.sha256(chain + b"(16, 16, 3)" + image.tobytes()).digest()
    assert found.about["content_sha256"] == chain.hex()


def test_whole_pictures_of_any_shape_are_measured_as_they_are(tmp_path):
    (tmp_path / "data").mkdir()
    for index, image in enumerate(random_images(COUNT, 64, 0)):
        Image.fromarray(image[: 16 + index // 9]).save(tmp_path / f"data/{index:02d}.png")
    pictures, about = open_images("folder", tmp_path / "data"), {**ABOUT, "crop": "whole"}
    found = compute_statistics(pictures, features, about, partial(tmp_path), batch_size=4)
    expected = np.concatenate([features(image[None])["pool"] for image in pictures.read()])
    assert np.allclose(found.mu, expected.mean(axis=0), rtol=1e-6)
    assert np.array_equal(found.features, expected[:30])


def test_the_content_hash_tells_datasets_apart(images, tmp_path):
    def content(**changes):
        about = {**ABOUT, **changes}
        return compute_statistics(images, features, about, partial(tmp_path), 8).about["content_sha256"]

    assert content() == content(extractor="another", features=3)
    assert len({content(), content(images=COUNT - 1), content(image_size=24)}) == 3


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_a_stopped_computation_goes_on_bit_for_bit(images, tmp_path, stop, capsys):
    whole = compute_statistics(images, features, ABOUT, partial(tmp_path), batch_size=8)
    calls = []

    def stopped(batch):
        if len(calls) == stop:
            raise KeyboardInterrupt
        calls.append(len(batch))
        return features(batch)

    with pytest.raises(KeyboardInterrupt):
        compute_statistics(images, stopped, ABOUT, partial(tmp_path, every=0), batch_size=8)
    seen = []
    rest = compute_statistics(
        images, lambda batch: seen.append(len(batch)) or features(batch), ABOUT, partial(tmp_path), batch_size=8
    )
    assert sum(seen) == COUNT - 8 * stop
    assert f"going on from image {8 * stop} of {COUNT}" in capsys.readouterr().err
    assert same(rest, whole)
    assert not (tmp_path / "partial").exists()


def test_the_state_of_another_computation_is_not_used(images, tmp_path, capsys):
    whole = compute_statistics(images, features, ABOUT, partial(tmp_path), batch_size=8)
    other = {**ABOUT, "image_size": 24}
    state = partial(tmp_path, other, every=0)
    with pytest.raises(ZeroDivisionError):
        compute_statistics(images, lambda batch: features(batch) if len(batch) == 8 else 1 / 0, other, state, 8)
    assert (tmp_path / "partial").exists()
    assert same(compute_statistics(images, features, ABOUT, partial(tmp_path), batch_size=8), whole)
    assert "made with another image_size: starting anew" in capsys.readouterr().err


# Moments that the dataset brings


@pytest.fixture
def adm(tmp_path):
    with (tmp_path / "adm.npz").open("wb") as file:
        write_npz(Path(file.name), random_images(20, 16, 0))
    return Npz(tmp_path / "adm.npz")


STORED = {**ABOUT, "images": 20, "extractor": "inception-adm", "features": 5}


def test_stored_moments_are_taken_and_those_of_clean_features_computed(adm, tmp_path):
    found = compute_statistics(adm, features, STORED, partial(tmp_path), batch_size=4)
    clean = features(np.stack(list(adm.read())))["clean"].astype(np.float64)
    assert np.allclose(found.mu_clean, clean.mean(axis=0))
    assert np.allclose(found.sigma_clean, np.cov(clean, rowvar=False))
    for key, value in adm.moments().items():
        assert np.array_equal(getattr(found, key), value)
    assert found.features.shape == (5, 6)
    assert found.about["moments"] == references.STORED
    assert found.about["moments_clean"] == references.COMPUTED
    assert found.about["images"] == 20


def test_stored_moments_are_not_those_of_another_extractor(adm, tmp_path):
    about = {**STORED, "extractor": "inception-pytorch-fid"}
    found = compute_statistics(adm, features, about, partial(tmp_path), batch_size=4)
    assert found.mu.shape == (6,)
    assert found.about["moments"] == references.COMPUTED
    assert found.about["images"] == 20


def test_stored_moments_belong_to_one_image_size(adm, tmp_path):
    with pytest.raises(DeepCacheError, match=r"^datasets\.x: its moments are of images of 16x16 pixels"):
        compute_statistics(adm, features, {**STORED, "image_size": 8}, partial(tmp_path), batch_size=4)


def test_a_bad_image_is_named_with_the_dataset(images, tmp_path):
    with pytest.raises(DeepCacheError, match=r"^datasets\.x: image 0: 32x32 pixels, not 16x16"):
        compute_statistics(images, features, {**ABOUT, "crop": "none"}, partial(tmp_path), batch_size=4)


# The programs


@pytest.fixture
def manifests(tmp_path):
    """Manifests of a random dataset and of the digits classifier."""
    write_random("folder", tmp_path / "data", 300, 32, 0)
    write_manifest(tmp_path / "dataset.json", "random", "folder", tmp_path / "data", "random")
    write_checkpoint(tmp_path / "classifier.json", "digits-classifier", CLASSIFIER, "shipped", {})
    return tmp_path


def weights_options(folder):
    return "--extractor", "digits-classifier", "--weights", folder / "classifier.json", "--device", "cpu"


def statistics_options(folder, name, *options):
    dataset = ("--dataset", folder / "dataset.json", "--image-size", 16, "--crop", "center")
    files = ("--partial", folder / f"{name}.partial", "--output", folder / name)
    return *weights_options(folder), *dataset, *files, *options


def test_a_killed_program_goes_on_and_ends_as_if_it_had_not_been_killed(manifests, call):
    options = ("--batch-size", 1, "--save-every", 0, "--features", 40)
    assert call("reference_statistics.py", *statistics_options(manifests, "whole.npz", *options)) == 0
    state = manifests / "killed.npz.partial"
    command = [sys.executable, ROOT / "workflow/scripts/reference_statistics.py"]
    command += map(str, statistics_options(manifests, "killed.npz", *options))
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    started = time.monotonic()
    while not state.exists():
        assert process.poll() is None
        assert time.monotonic() - started < 120
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (manifests / "killed.npz").exists()
    with np.load(state) as file:
        assert json.loads(str(file["key"]))["kinds"] == list(KINDS), "a state without one of these is not gone on from"
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "going on from image " in again.stderr
    assert same(Statistics.load(manifests / "killed.npz"), Statistics.load(manifests / "whole.npz"))
    assert not state.exists()


def test_metrics_of_the_reference_itself_are_zero(manifests, call, capsys):
    """A run whose samples are the reference's own images, in two shards of which the second is not used up."""
    assert call("reference_statistics.py", *statistics_options(manifests, "reference.npz", "--images", 60)) == 0
    images = np.stack(list(read_prepared(open_images("folder", manifests / "data"), 16, "center"))[:80])
    settings = {"seed": 0}
    for shard in range(2):
        write_shard(manifests / f"run/shards/{shard}.npz", images[40 * shard : 40 * shard + 40], settings, {})
    run = {"images": 60, "settings_hash": settings_hash(settings), "shards": {"0.npz": "", "1.npz": ""}}
    sidecar, output = manifests / "run/run.json", manifests / "metrics.json"

    def measure(**changes):
        sidecar.write_text(json.dumps({**run, **changes}), encoding="utf-8")
        files = ("--run", sidecar, "--reference", manifests / "reference.npz", "--output", output)
        return call("metrics.py", *weights_options(manifests), *files, "--batch-size", 7)

    assert measure() == 0
    found = json.loads(output.read_text(encoding="utf-8"))
    for distance in ("fid", "sfid", "fid_clean"):
        assert found[distance] == pytest.approx(0, abs=1e-4)
    assert found["kid"] < 0, "the unbiased estimate of zero from equal images"
    assert (found["images"], found["references"], found["undefined"]) == (60, 60, {})
    assert found["reference"]["dataset"] == "random"
    assert found["reference"]["images"] == 60
    capsys.readouterr()
    assert measure(images=81) == 1
    assert capsys.readouterr().err.endswith("80 images, fewer than the 81 asked for: sample more, or ask for fewer\n")
    assert measure(settings_hash="0") == 1
    assert "was made with other settings than" in capsys.readouterr().err
    write_shard(manifests / "run/shards/0.npz", images[:40, :8, :8], settings, {})
    assert measure() == 1
    assert "samples of 8x8 pixels, but the reference's images have 16" in capsys.readouterr().err


def test_too_few_images_are_a_line(manifests, call, capsys):
    assert call("reference_statistics.py", *statistics_options(manifests, "x.npz", "--images", 301)) == 1
    assert capsys.readouterr().err == "error: datasets.random: holds 300 images, 301 are asked for: lower the number\n"
    (manifests / "data/class-3/00003.png").write_bytes(b"")
    assert call("reference_statistics.py", *statistics_options(manifests, "x.npz")) == 1
    message = f"error: {manifests / 'data'} changed since {manifests / 'dataset.json'} was written"
    assert capsys.readouterr().err.startswith(message)
