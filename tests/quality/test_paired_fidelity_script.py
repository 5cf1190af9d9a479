"""The program that compares two runs, or two folders of images."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcache.models.checkpoints import write_manifest
from deepcache.quality.paired_fidelity import PairedFidelity, psnr, similarities, squared_errors
from deepcache.quality.perceptual import load_perceptual
from deepcache.sampling.shards import settings_hash, write_shard
from tests.quality.pairs import CLASSIFIER, CPU, digits, digits_by_hand, pairs


@pytest.fixture
def compare(tmp_path, call):
    """Run the program; returns its exit status, or what it wrote."""

    def compare(*options):
        output = tmp_path / "fidelity.json"
        status = call("paired_fidelity.py", "--device", "cpu", "--output", output, "--perceptual", CLASSIFIER, *options)
        assert output.exists() == (status == 0)
        return status or json.loads(output.read_text(encoding="utf-8"))

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
    (folder / "run.json").write_text(json.dumps(run), encoding="utf-8")
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
    origin = ["images", "run", "baseline", "perceptual", "versions", "device", "tf32", "threads", "commit", "per_image"]
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
