import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline

from deepcache import DeepCacheError
from deepcache.beyond.comparison.peers import (
    Peer,
    Target,
    average_macs,
    fewer_steps,
    merging,
    nearest_merging,
    read_full_macs,
    read_targets,
)
from deepcache.data.manifests import write_manifest
from deepcache.models.checkpoints import open_checkpoint
from deepcache.models.checkpoints import write_manifest as write_checkpoint
from deepcache.models.digits import ddpm_scheduler
from deepcache.quality.extractors import load_extractor
from deepcache.quality.fidelity import fid
from deepcache.quality.paired_fidelity import squared_errors
from deepcache.quality.statistics import Statistics
from deepcache.sampler import Sampler
from deepcache.sampling.families import load_model
from tests.conftest import make_unet2d

CHECKPOINTS = Path(__file__).resolve().parents[2] / "resources/checkpoints"
OWN = Sampler("ddim", 100)


def steps_of(sampler: Sampler) -> int:
    """As CompVis's stride: DDIM takes 31 steps for 30, and has no 9."""
    if sampler.name == "ddim" and sampler.steps == 9:
        raise DeepCacheError("beyond the last timestep")
    return len(range(0, 1000, 1000 // sampler.steps)) if sampler.name == "ddim" else sampler.steps


MODEL = SimpleNamespace(num_steps=steps_of)


# Matching


def targets(**speeds: float) -> list[Target]:
    return [Target(int(name[1:]), value) for name, value in speeds.items()]


def slugs(peers: list[Peer]) -> list[tuple]:
    return [(peer.sampler.slug, peer.calls, peer.target.interval) for peer in peers]


def test_as_many_steps_as_there_is_time_for():
    peers = fewer_steps(MODEL, OWN, targets(n2=2.0, n5=4.0))
    assert slugs(peers) == [("ddim-50", 50, 2), ("ddim-25", 25, 5), ("dpmpp-50", 50, 2), ("dpmpp-25", 25, 5)]
    assert [peer.label for peer in peers[1:3]] == ["DDIM, 25 steps", "DPM-Solver++, 50 steps"]
    assert {peer.group for peer in peers} == {"DDIM with fewer steps", "DPM-Solver++ with fewer steps"}


def test_steps_are_those_that_are_really_taken():
    ddim, dpm_solver = fewer_steps(MODEL, OWN, targets(n5=100 / 31))
    assert (ddim.sampler.slug, ddim.label) == ("ddim-30", "DDIM, 31 steps")
    assert dpm_solver.sampler.slug == "dpmpp-31"
    assert average_macs(ddim, 2.0, OWN) == pytest.approx(0.62)


def test_a_number_of_steps_that_the_sampler_has_not_is_passed_over():
    assert slugs(fewer_steps(MODEL, OWN, targets(n20=100 / 9))) == [("ddim-8", 8, 20), ("dpmpp-9", 9, 20)]


def test_duplicates_collapse_to_the_first():
    peers = fewer_steps(MODEL, OWN, targets(n5=10.0, n10=10.2))
    assert slugs(peers) == [("ddim-10", 10, 5), ("dpmpp-10", 10, 5)]


def test_at_least_one_step_and_at_most_all():
    peers = fewer_steps(MODEL, OWN, targets(n2=0.9, n50=1000.0))
    assert slugs(peers) == [("ddim-1", 1, 50), ("dpmpp-100", 100, 2), ("dpmpp-1", 1, 50)], "DDIM 100 is no peer"
    assert peers[0].label == "DDIM, 1 step"


def test_guidance_and_the_models_own_spacing_are_kept():
    peers = fewer_steps(MODEL, Sampler("ddim", 100, "quad"), targets(n2=2.0))
    assert [peer.sampler.slug for peer in peers] == ["ddim-50-quad", "dpmpp-50"]
    peers = fewer_steps(MODEL, Sampler("plms", 50, guidance_scale=7.5), targets(n2=2.0))
    assert [peer.sampler.slug for peer in peers] == ["ddim-25-cfg7.5", "dpmpp-25-cfg7.5"]


def test_merging_has_the_nearest_speed():
    candidates = merging(OWN, [0.25, 0.5, 0.75])
    speeds = dict(zip([one.label for one in candidates], [1.1, 1.3, 1.6], strict=True))
    assert list(speeds) == ["Token merging, ratio 0.25", "Token merging, ratio 0.5", "Token merging, ratio 0.75"]
    peers = nearest_merging(candidates, speeds, targets(n2=1.25, n3=1.9, n5=4.0))
    assert [(peer.ratio, peer.target.interval, peer.sampler) for peer in peers] == [(0.5, 2, OWN), (0.75, 3, OWN)]
    assert average_macs(peers[0], 2.0, OWN) is None
    assert nearest_merging([], {}, targets(n2=1.25)) == []


# Files


def times(path: Path, name: str, sampler: str, **seconds) -> Path:
    timed = {f"{name}/{sampler}/{method.replace('_', '-')}": {"seconds": one} for method, one in seconds.items()}
    path.write_text(json.dumps({"variants": timed}), encoding="utf-8")
    return path


def test_targets_are_median_ratios_by_interval(tmp_path):
    seconds = {"full": [9, 4, 5], "uniform_n10_b0": [1, 1, 9], "uniform_n2_b0": [4.5, 4, 2]}
    path = times(tmp_path / "a.json", "a", "ddim-100", **seconds)
    variants = ["a/ddim-100/uniform-n10-b0", "a/ddim-100/uniform-n2-b0"]
    assert read_targets(path, "a", OWN, variants) == [Target(2, 2.0), Target(10, 4.0)]


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("a/ddim-100/uniform-n3-b0", r"a\.json: a/ddim-100/uniform-n3-b0 was not timed: name it in --variants"),
        ("b/ddim-100/uniform-n2-b0", "--variants b/ddim-100/uniform-n2-b0: must be a/ddim-100/ and a method"),
        ("a/ddim-100/full", "--variants a/ddim-100/full: must be a/ddim-100/ and a method that caches"),
        ("uniform-n2-b0", "a run looks like"),
    ],
)
def test_variants_that_were_not_timed_or_are_others(tmp_path, variant, message):
    path = times(tmp_path / "a.json", "a", "ddim-100", full=[2.0], uniform_n2_b0=[1.0])
    with pytest.raises(DeepCacheError, match=message) as raised:
        read_targets(path, "a", OWN, [variant])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"variants": []}', '{"variants": {"a": {"seconds": []}}}'])
def test_damaged_times_and_macs_are_named(tmp_path, content):
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"a\.json: not readable times \(.*\); delete it and run again"):
        read_targets(tmp_path / "a.json", "a", OWN, ["a/ddim-100/uniform-n2-b0"])
    with pytest.raises(DeepCacheError, match=r"a\.json: not readable MACs \(.*\); delete it and run again"):
        read_full_macs(tmp_path / "a.json")


# The program


@pytest.fixture
def compare(call, tmp_path):
    """Run the program on two images of two seeds; returns its exit status, or what it wrote."""
    (tmp_path / "macs.json").write_text(json.dumps({"full_g": 6.0, "shallow_g": {}}), encoding="utf-8")

    def compare(name: str, sampler: str, times: Path, variants: list[str], *options):
        output = tmp_path / "peers.json"
        variants = [f"{name}/{sampler}/{variant}" for variant in variants]
        status = call(
            "beyond/peers.py",
            *("--checkpoint", tmp_path / "model.json", "--name", name, "--sampler", sampler),
            *("--timing", times, "--variants", *variants, "--macs", tmp_path / "macs.json"),
            *("--seeds", 3, 4, "--images", 2, "--batch-size", 1, "--repeats", 2, "--device", "cpu"),
            *("--output", output, *options),
        )
        assert output.exists() == (status == 0)
        return status or json.loads(output.read_text(encoding="utf-8"))

    return compare


def test_fewer_steps_of_a_pixel_model(compare, tmp_path):
    DDPMPipeline(make_unet2d(), ddpm_scheduler()).save_pretrained(tmp_path / "model")
    write_checkpoint(tmp_path / "model.json", "tiny", tmp_path / "model", "random", {})
    weights = tmp_path / "classifier.json"
    write_checkpoint(weights, "digits-classifier", CHECKPOINTS / "digits-classifier", "bundled", {})
    folder, manifest = open_checkpoint(weights)
    features = load_extractor("digits-classifier", folder, "cpu")
    noise = np.random.default_rng(0).integers(0, 256, (80, 16, 16, 1), dtype=np.uint8)
    reference = Statistics.of(
        features(noise)["pool"], {"extractor": "digits-classifier", "extractor_sha256": manifest["sha256"]}
    )
    reference.save(tmp_path / "reference.npz")
    timed = times(tmp_path / "times.json", "tiny", "ddim-20", full=[6.0], uniform_n2_b0=[3.0], uniform_n5_b0=[2.0])
    options = ("--reference", tmp_path / "reference.npz", "--extractor", "digits-classifier")
    variants = ["uniform-n2-b0", "uniform-n5-b0"]
    found = compare("tiny", "ddim-20", timed, variants, *options, "--extractor-weights", weights)
    model = load_model(tmp_path / "model", "cpu")

    def images(slug: str) -> list[np.ndarray]:
        return [model.sample(range(2), seed, Sampler.parse(slug)) for seed in (3, 4)]

    def pixels(slug: str) -> list[np.ndarray]:
        with torch.no_grad():
            latents = [model.make_latents(range(2), seed, Sampler.parse(slug)) for seed in (3, 4)]
        return [model.decode(one, rounded=False).numpy().astype(float) for one in latents]

    uncached, unrounded, rng = images("ddim-20"), pixels("ddim-20"), np.random.default_rng(0)
    draws = [rng.integers(4, size=4) for _ in range(200)]
    expected = [
        ("ddim-10", 2, 3.0, 2.0),
        ("ddim-6", 5, 2.1, 3.0),  # by the original's stride, these are seven steps
        ("dpmpp-10", 2, 3.0, 2.0),
        ("dpmpp-7", 5, 2.1, 3.0),
    ]
    shown = [(one["sampler"], one["interval"], one["macs_g"], one["target_speed"]) for one in found["peers"]]
    assert shown == expected
    for one in found["peers"]:
        mine = images(one["sampler"])
        errors = [squared_errors(*pair).round(6).tolist() for pair in zip(mine, uncached, strict=True)]
        assert one["squared_error"] == errors
        assert min(map(min, errors)) > 0
        finer = [((a - b) ** 2).mean((1, 2, 3)) for a, b in zip(pixels(one["sampler"]), unrounded, strict=True)]
        assert one["squared_error_unrounded"] == [pytest.approx(each, rel=1e-4) for each in finer]
        assert all(a != b for pair in zip(errors, finer, strict=True) for a, b in zip(*pair, strict=True))
        pool = np.concatenate([features(part)["pool"] for part in mine])
        assert one["fid"] == pytest.approx(fid(Statistics.of(pool, {}), reference))
        redrawn = [fid(Statistics.of(pool[drawn], {}), reference) for drawn in draws]
        assert one["fid_redrawn"] == pytest.approx(redrawn, abs=1e-5)
        assert one["clip_score"] is None
        assert one["speed"] > 0 < one["seconds_per_image"] < 10
    assert (found["model"], found["sampler"], found["seeds"], found["images"]) == ("tiny", "ddim-20", [3, 4], 2)
    assert (found["weights"], found["tomesd"]) == ("random", None)
    assert {"versions", "device", "threads", "commit"} <= set(found)


@pytest.fixture
def text_to_image(tmp_path) -> tuple:
    """Options of digits-sd with its CLIP model; where its prompts are."""
    write_checkpoint(tmp_path / "model.json", "digits-sd", CHECKPOINTS / "digits-sd", "bundled", {})
    write_checkpoint(tmp_path / "clip.json", "digits-clip", CHECKPOINTS / "digits-clip", "bundled", {})
    (tmp_path / "prompts.txt").write_text("a handwritten three\nseven\n", encoding="utf-8")
    write_manifest(tmp_path / "prompts.json", "mine", "text", tmp_path / "prompts.txt", "local")
    return "--prompts", tmp_path / "prompts.json", "--clip", tmp_path / "clip.json"


def test_token_merging_where_it_is_installed(compare, text_to_image, tmp_path, monkeypatch):
    """A stand-in for tomesd that changes the U-Net's input; the true one is optional."""
    hooks, ratios = [], []

    def apply_patch(unet, ratio):
        ratios.append(ratio)
        hooks.append(unet.register_forward_pre_hook(lambda module, args: (args[0] * (1 - ratio / 10), *args[1:])))

    package = SimpleNamespace(apply_patch=apply_patch, remove_patch=lambda unet: hooks.pop().remove())
    monkeypatch.setitem(sys.modules, "tomesd", package)
    (tmp_path / "installed/tomesd-0.1.dist-info").mkdir(parents=True)
    (tmp_path / "installed/tomesd-0.1.dist-info/METADATA").write_text("Name: tomesd\nVersion: 0.1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "installed")
    timed = times(tmp_path / "times.json", "sd", "plms-6-cfg7.5", full=[6.0], uniform_n2_b0=[3.0])
    found = compare("sd", "plms-6-cfg7.5", timed, ["uniform-n2-b0"], *text_to_image, "--merge-ratios", 0.25, 0.5)
    ddim, dpm_solver, merging = found["peers"]
    assert found["tomesd"] == "0.1"
    assert (ddim["sampler"], dpm_solver["sampler"]) == ("ddim-3-cfg7.5", "dpmpp-3-cfg7.5")
    assert (ddim["macs_g"], merging["macs_g"]) == (3.0, None)
    assert (merging["group"], merging["sampler"], merging["interval"]) == ("Token merging", "plms-6-cfg7.5", 2)
    assert merging["label"] in ("Token merging, ratio 0.25", "Token merging, ratio 0.5")
    assert min(map(min, merging["squared_error"])) > 0
    assert min(map(min, merging["squared_error_unrounded"])) > 0
    for one in found["peers"]:
        assert np.shape(one["clip_score"]) == np.shape(one["squared_error"]) == (2, 2)
        assert np.shape(one["squared_error_unrounded"]) == (2, 2)
        assert one["fid"] is one["fid_redrawn"] is None
    ratio = float(merging["label"].rpartition(" ")[2])
    assert ratios == [0.25, 0.5, 0.5, 0.25, 0.25, 0.5] + [ratio] * 2, (
        "a warm-up and two repetitions of each, then both seeds of one"
    )
    assert not hooks


def test_token_merging_where_it_is_not(compare, text_to_image, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("deepcache.beyond.comparison.token_merging.PACKAGE", "tomesd-that-is-not-there")
    timed = times(tmp_path / "times.json", "sd", "plms-6-cfg7.5", full=[6.0], uniform_n2_b0=[3.0])
    found = compare("sd", "plms-6-cfg7.5", timed, ["uniform-n2-b0"], *text_to_image)
    assert [one["sampler"] for one in found["peers"]] == ["ddim-3-cfg7.5", "dpmpp-3-cfg7.5"]
    assert "is not installed: no token merging" in capsys.readouterr().err


def test_help(call, capsys):
    assert call("beyond/peers.py", "--help") == 0
    assert "same measured time" in capsys.readouterr().out
