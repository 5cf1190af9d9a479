"""What generate.py refuses, in one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
)
from PIL import Image

from deepcache.sampler import NAMES
from tests.generation.checkpoints import FIRST_STAGE, PROMPTS, SCRIPT, full, save, save_sdxl


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--sampler", "heun"),
            f"sampler must be one of {', '.join(NAMES)}, not 'heun'",
        ),
        (("--schedule", "eq7", "--cache-interval", 2), "--schedule: must be one of nonuniform, uniform, not 'eq7'"),
        (
            ("--reuse", "forecast0", "--cache-interval", 2),
            "--reuse: must look like hold, zeros, forecast1, not",
        ),
        (("--schedule", "nonuniform", "--power", 1.2, "--cache-interval", 2), "--center: nonuniform needs it"),
        (("--power", 1.2, "--cache-interval", 2), "--power: uniform takes none: leave it out"),
        (("--sampler", "dpm++"), "sampler dpm++ is called dpmpp"),
        (("--schedule", "chosen", "--cache-interval", 3), "--schedule: must be one of nonuniform, uniform, not"),
        (("--reuse", "zeros"), "--reuse: nothing is cached without --cache-interval: give it, too"),
        (("--cache-interval", 0), "--cache-interval: must be at least 1, not 0"),
        (("--cache-interval", 8), "interval must be between 1 and the number of steps (6), not 8"),
        (
            ("--cache-interval", 6, "--images", "images"),
            "interval must be between 1 and the number of steps (4), not 6",
        ),
        (("--cache-interval", 2, "--cache-branch", 6), "branch must be an integer from 0 to 5 for this UNet2DCond"),
        (("--height", 20), "height must be divisible by 8 for this checkpoint, not 20"),
        (("--width", 4), "width must be divisible by 8 for this checkpoint, not 4"),
        (("--steps", 2000), "steps must be between 1 and 1000 (timesteps of training), not 2000"),
        (("--steps", 3, "--sampler", "pndm"), "pndm needs at least 4 steps: use plms, or more"),
        (("--seed", -1), "seed must be at least 0, not -1"),
        (("--strength", 0.5), "strength says how much an image is changed: give images, or leave it out"),
        (("--images", "images", "--strength", 0), "strength must be above 0 and at most 1, not 0.0"),
        (("--images", "images", "--strength", 1.5), "strength must be above 0 and at most 1, not 1.5"),
        (("--images", "images", "--strength", 0.1), "strength 0.1 leaves none of 6 steps: raise either"),
        (("--masks", "masks"), "masks need images, which they belong to"),
        (("--images", "nowhere"), "nowhere: no such file or folder"),
        (("--negative-prompt", "blurred", "--guidance-scale", 1), "a negative prompt acts through guidance"),
    ],
)
def test_wrong_options_are_refused_in_one_line(sd, refused, options, message):
    assert refused(sd, *options).startswith(message)
    assert not Path("out").exists()


def test_wrong_files_are_refused_in_one_line(sd, refused):
    Path("images/1.png").unlink()
    assert refused(sd, "--images", "images") == "2 images for 3 prompts: give one for each prompt, or one for all"
    Image.new("L", (24, 32)).save("masks/0.png")
    masks = ("--masks", "masks", "--images", "images/0.png")
    assert refused(sd, *masks) == "masks/0.png: a mask of 24x32 pixels, but images/0.png has 32x24: make them equal"
    Path("images/1.png").write_bytes(Path("images/0.png").read_bytes()[:200])
    assert refused(sd, "--images", "images").startswith("images/1.png: not readable as an image (")
    Path("prompts.txt").write_text("", encoding="utf-8")
    assert refused(sd) == "prompts.txt: the file is empty"


def test_other_checkpoints_are_refused_in_one_line(sd, refused):
    assert refused("nowhere").startswith("nowhere: no such checkpoint: give a folder in diffusers' format")
    assert refused("images").startswith("images/model_index.json: cannot be read, so this is no diffusers checkpoint (")
    assert refused("prompts.txt").startswith("prompts.txt: not a checkpoint manifest (")
    transformer = DiTTransformer2DModel(2, 4, in_channels=4, num_layers=1, sample_size=4, norm_num_groups=4)
    first_stage = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2)
    DiTPipeline(transformer, first_stage, DDIMScheduler()).save_pretrained("dit")
    assert refused("dit") == "dit/model_index.json: DiTPipeline has no U-Net: DeepCache needs skip connections"
    index = json.loads((sd / "model_index.json").read_text(encoding="utf-8"))
    Path("other").mkdir()
    Path("other/model_index.json").write_text(json.dumps({**index, "_class_name": "LDMPipeline"}), encoding="utf-8")
    assert refused("other").startswith("other/model_index.json: LDMPipeline is not among the known pipelines (Stable")


def test_a_refiner_takes_images_alone(generate, refused, tmp_path, passes):
    refiner = save_sdxl(tmp_path / "refiner", refiner=True)
    assert refused(refiner) == f"{refiner}: it refines images and makes none from noise: give --images"
    images, _ = generate(refiner, "--images", "images", "--strength", 0.5, "--cache-interval", 2, "--batch-size", 3)
    assert images.shape[0] == len(PROMPTS)
    assert full(passes) == [0, 2]


@pytest.mark.parametrize("damage", ["missing", "cut", "no config", "another shape"])
def test_damaged_checkpoints_are_refused_in_one_line(refused, tmp_path, damage):
    folder = save(tmp_path / "checkpoint")
    weights, config = folder / "unet/diffusion_pytorch_model.safetensors", folder / "unet/config.json"
    if damage == "missing":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "no config":
        config.unlink()
    else:
        config.write_text(
            config.read_text(encoding="utf-8").replace('"cross_attention_dim": 16', '"cross_attention_dim": 24'),
            encoding="utf-8",
        )
    assert refused(folder).startswith(f"{folder}: diffusers cannot load it (")


def test_images_without_finite_values_are_refused(refused, tmp_path):
    first_stage = AutoencoderKL(**FIRST_STAGE)
    torch.nn.init.constant_(first_stage.decoder.conv_out.bias, torch.nan)
    assert refused(save(tmp_path / "checkpoint", vae=first_stage)) == (
        "image 0 has no finite values: take a wider precision"
    )
    assert not list(Path("out").glob("*.png"))


def test_help_imports_nothing_heavy():
    command = [sys.executable, "-X", "importtime", str(SCRIPT), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--cache-interval" in shown.stdout and "inpainting" in shown.stdout
    assert "torch" not in shown.stderr and "diffusers" not in shown.stderr
