"""Checkpoints, and generate.py on them."""

import functools
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from deepcache.models.clip_vocabulary import clip_tokenizer
from tests.conftest import make_unet2d_condition
from tests.generation.checkpoints import FIRST_STAGE, PROMPTS, SCRIPT, TEXT, UNET, save


@pytest.fixture(scope="module")
def sd(tmp_path_factory):
    return save(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    torch.manual_seed(0)
    text = CLIPTextConfig(vocab_size=600, bos_token_id=598, eos_token_id=599, projection_dim=16, **TEXT)
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(**FIRST_STAGE),
        text_encoder=CLIPTextModel(text),
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer=clip_tokenizer(600),
        tokenizer_2=clip_tokenizer(600),
        unet=make_unet2d_condition(
            **UNET,
            cross_attention_dim=32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16,
        ),
        scheduler=EulerDiscreteScheduler(steps_offset=1),
        add_watermarker=False,
    )
    folder = tmp_path_factory.mktemp("sdxl")
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with prompts, an image for each and masks whose lower half is white."""
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    numbers = np.random.default_rng(0)
    for folder in ("images", "masks"):
        Path(folder).mkdir()
    for index in range(len(PROMPTS)):
        Image.fromarray(numbers.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(f"images/{index}.png")
        mask = np.zeros((24, 32), np.uint8)
        mask[12:] = 255
        Image.fromarray(mask).save(f"masks/{index}.png")
    return tmp_path


@pytest.fixture
def generate(place, monkeypatch):
    """Run generate.py; returns the images as integers, shape (B, H, W, 3), and the record."""

    def generate(checkpoint, *options, output="out"):
        fixed = ["--checkpoint", checkpoint, "--prompts", "prompts.txt", "--device", "cpu", "--output", output]
        steps = [] if "--steps" in options else ["--steps", "6"]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, (*fixed, *steps, *options))])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        images = [np.asarray(Image.open(path)).astype(int) for path in sorted(Path(output).glob("[0-9]*.png"))]
        return np.stack(images), json.loads(Path(output, "generation.json").read_text())

    return generate


@pytest.fixture
def refused(generate, capsys):
    """Run generate.py, which must fail; returns its one line."""

    def refused(*arguments, **options):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            generate(*arguments, **options)
        assert end.value.code == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if "%|" not in line]
        assert len(lines) == 1 and lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")

    return refused


@pytest.fixture
def passes(monkeypatch):
    """Every call of a U-Net: True where it ran fully, False where shallowly."""
    found, forward = [], UNet2DConditionModel.forward

    @functools.wraps(forward)
    def counted(unet, *args, **kwargs):
        found.append(type(unet.mid_block).__name__ != "CachedFeature")
        return forward(unet, *args, **kwargs)

    monkeypatch.setattr(UNet2DConditionModel, "forward", counted)
    return found
