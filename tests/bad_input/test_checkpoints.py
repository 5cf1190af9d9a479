"""Checkpoints that are damaged, incomplete, of another model or of another kind."""

import json
import shutil
import struct
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.bad_input.conftest import CHECKPOINTS, PROMPTS

WEIGHTS = "diffusion_pytorch_model.safetensors"
LOADED = "checkpoint: cannot be loaded as"


def cut(file: str):
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:500])


def empty(file: str):
    return lambda folder: (folder / file).write_bytes(b"")


def header_beyond_the_file(folder: Path):
    (folder / "unet" / WEIGHTS).write_bytes(struct.pack("<Q", 2**62) + b"{}")


def of(other: str, file: str):
    """The weights of another model in its place."""
    return lambda folder: shutil.copy(CHECKPOINTS / other, folder / file)


def without(name: str):
    return lambda folder: shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()


def text(file: str, content: str):
    return lambda folder: (folder / file).write_text(content, encoding="utf-8")


def changed(file: str, **keys):
    def change(folder: Path):
        content = json.loads((folder / file).read_text(encoding="utf-8"))
        (folder / file).write_text(json.dumps({**content, **keys}), encoding="utf-8")

    return change


def half_of_the_text_encoder(folder: Path):
    file = folder / "text_encoder/model.safetensors"
    weights = load_file(file)
    save_file(dict(list(weights.items())[: len(weights) // 2]), file)


# By name: the checkpoint, how it is broken, and how the line begins.
SAMPLED = {
    "weights cut off": ("digits-ddpm", cut(f"unet/{WEIGHTS}"), f"{LOADED} an unconditional model ("),
    "weights empty": ("digits-ddpm", empty(f"unet/{WEIGHTS}"), f"{LOADED} an unconditional model ("),
    "a header beyond the file": ("digits-ddpm", header_beyond_the_file, f"{LOADED} an unconditional model ("),
    "of a latent model": ("digits-ddpm", of(f"digits-ldm/unet/{WEIGHTS}", f"unet/{WEIGHTS}"), LOADED),
    "of a classifier": ("digits-ddpm", of("digits-classifier/model.safetensors", f"unet/{WEIGHTS}"), LOADED),
    "no scheduler": ("digits-ddpm", without("scheduler"), LOADED),
    "no config": ("digits-ddpm", without("unet/config.json"), LOADED),
    "a config cut off": ("digits-ddpm", text("unet/config.json", '{"'), LOADED),
    "a config of another kind": ("digits-ddpm", text("unet/config.json", "[]"), LOADED),
    "a config of other channels": ("digits-ddpm", changed("unet/config.json", in_channels=3), LOADED),
    "an index of another kind": (
        "digits-ddpm",
        text("model_index.json", "[]"),
        "checkpoint/model_index.json: cannot be",
    ),
    "a pipeline of another family": (
        "digits-ddpm",
        changed("model_index.json", _class_name="FluxPipeline"),
        "checkpoint/model_index.json: FluxPipeline is not among the known pipelines",
    ),
    "a pipeline of its own": (
        "digits-ddpm",
        changed("model_index.json", _class_name=["pipeline", "Pipeline"]),
        "checkpoint/model_index.json: ['pipeline', 'Pipeline'] is not among the known pipelines",
    ),
    "a first stage cut off": ("digits-ldm", cut(f"vqvae/{WEIGHTS}"), f"{LOADED} a class-conditional latent model"),
    "classes of a classifier": (
        "digits-ldm",
        of("digits-classifier/model.safetensors", "class_embedder/model.safetensors"),
        f"{LOADED} a class-conditional latent model",
    ),
    "text encoder cut off": ("digits-sd", cut("text_encoder/model.safetensors"), f"{LOADED} Stable Diffusion"),
    "text encoder of a classifier": (
        "digits-sd",
        of("digits-classifier/model.safetensors", "text_encoder/model.safetensors"),
        "checkpoint/text_encoder: its weights are another model's: ",
    ),
    "half a text encoder": (
        "digits-sd",
        half_of_the_text_encoder,
        "checkpoint/text_encoder: its weights are another model's: ",
    ),
    "no tokenizer": (
        "digits-sd",
        without("tokenizer"),
        "checkpoint/tokenizer is missing, which model_index.json names",
    ),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_nothing_is_sampled(name, refusal, manifest, dataset):
    model, damage, message = SAMPLED[name]
    options = ["--checkpoint", manifest(model, damage), "--sampler", "ddim-2", "--shard-size", 1]
    if model == "digits-sd":
        options += ["--prompts", dataset("text", PROMPTS)]
    assert message in refusal("sample.py", *options, "--output", "out/s.npz")


@pytest.mark.parametrize("name", ["text encoder of a classifier", "no tokenizer", "half a text encoder"])
def test_nothing_is_generated(name, refusal, place):
    shutil.copytree(CHECKPOINTS / "digits-sd", place / "checkpoint")
    _, damage, message = SAMPLED[name]
    damage(place / "checkpoint")
    options = ("--checkpoint", "checkpoint", "--prompts", PROMPTS, "--steps", 2, "--output", "out")
    assert message in refusal("generate.py", *options)


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '"x"', '{"folder": ".", "sha256": 1}', '{"folder": 1, "sha256": {}}']
)
def test_a_manifest_of_something_else(content, refusal, place):
    (place / "model.json").write_text(content, encoding="utf-8")
    for script in ("sample.py", "memory.py", "model_macs.py"):
        said = refusal(script, "--checkpoint", "model.json", "--output", "out/o.npz")
        assert said.startswith("model.json: not a checkpoint manifest (")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut("model.safetensors"), "checkpoint: not the digits classifier ("),
        (of(f"digits-ddpm/unet/{WEIGHTS}", "model.safetensors"), "checkpoint: not the digits classifier ("),
    ],
)
def test_nothing_is_measured_by_another_classifier(damage, message, refusal, manifest, dataset):
    options = ("--dataset", dataset("digits"), "--extractor", "digits-classifier", "--image-size", 16, "--images", 4)
    weights = manifest("digits-classifier", damage)
    said = refusal("reference_statistics.py", *options, "--weights", weights, "--partial", "p.npz", "--output", "r.npz")
    assert message in said


def test_features_of_a_folder_that_holds_no_classifier(refusal, manifest, dataset):
    options = ("--dataset", dataset("digits"), "--extractor", "digits-classifier", "--image-size", 16, "--images", 4)
    weights = manifest("digits-clip")
    said = refusal("reference_statistics.py", *options, "--weights", weights, "--partial", "p.npz", "--output", "r.npz")
    assert "digits-clip: not the digits classifier (No such file" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "StableDiffusionPipeline"}, "cannot be read as a U-Net's config (StableDiffusionPipeline"),
        ({"_class_name": "logging"}, "cannot be read as a U-Net's config (module"),
        ({"block_out_channels": "x"}, "cannot be read as a U-Net's config (Must provide the same number"),
    ],
)
def test_nothing_is_counted_of_another_network(change, message, refusal, manifest):
    checkpoint = manifest("digits-ddpm", changed("unet/config.json", **change))
    assert message in refusal("model_macs.py", "--checkpoint", checkpoint, "--output", "out/m.json")


def test_a_part_of_a_repository_in_git_lfs(refusal, manifest):
    """What a clone without git-lfs holds: a few lines of text under the name of the weights."""
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    checkpoint = manifest("digits-ddpm", text(f"unet/{WEIGHTS}", pointer))
    assert LOADED in refusal("sample.py", "--checkpoint", checkpoint, "--sampler", "ddim-2", "--output", "s.npz")
