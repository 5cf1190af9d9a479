"""Weights of a variant beside the others."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from deepcache.generation.checkpoints import find_checkpoint
from tests.generation.checkpoints import PROMPTS


@pytest.fixture
def both(sd, tmp_path):
    """A checkpoint with weights in both precisions; those of the text encoder are there once."""
    folder = tmp_path / "both"
    shutil.copytree(sd, folder)
    pipe = StableDiffusionPipeline.from_pretrained(sd, dtype=torch.float16)
    for part in ("unet", "vae"):
        with torch.no_grad():
            for weight in getattr(pipe, part).parameters():
                weight.mul_(1.01)  # so that it shows which were taken
        getattr(pipe, part).save_pretrained(folder / part, variant="fp16")
    return folder


def test_each_part_has_the_variant_or_what_there_is(both):
    names = {path.rpartition("/")[2] for path in find_checkpoint(both, "fp16")[1]}
    assert names == {"diffusion_pytorch_model.fp16.safetensors", "model.safetensors"}
    assert len(find_checkpoint(both)[1]) == 5


def test_images_are_of_the_variant(sd, both, generate):
    plain, _ = generate(sd)
    found, record = generate(both, "--variant", "fp16", output="variant")
    assert not np.array_equal(found, plain) and len(found) == len(PROMPTS)
    assert len(record["settings"]["checkpoint"]) == 3
    half = StableDiffusionPipeline.from_pretrained(both, variant="fp16", dtype=torch.float32)
    assert torch.equal(half.unet.conv_in.weight, half.unet.conv_in.weight.half().float())


def test_one_that_is_not_there_is_a_line(sd, refused):
    assert "--variant bf16: " in (line := refused(sd, "--variant", "bf16")) and "leave it out" in line
    assert json.loads((sd / "model_index.json").read_text(encoding="utf-8"))
