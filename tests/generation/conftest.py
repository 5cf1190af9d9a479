"""Checkpoints, and generate.py on them."""

import functools
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from diffusers import UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from PIL import Image
from transformers.utils import logging as transformers_logging

from tests.generation.checkpoints import PROMPTS, SCRIPT, frames, save, save_animatediff, save_sdxl, save_video


@pytest.fixture(scope="module")
def sd(tmp_path_factory):
    return save(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    return save_sdxl(tmp_path_factory.mktemp("sdxl"))


@pytest.fixture(scope="module")
def refiner(tmp_path_factory):
    return save_sdxl(tmp_path_factory.mktemp("refiner"), refiner=True)


@pytest.fixture(scope="module")
def animatediff(sd, tmp_path_factory):
    """A whole checkpoint, and the folder of its motion modules alone."""
    return save_animatediff(sd, tmp_path_factory.mktemp("animatediff"), tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="module")
def stable_video(tmp_path_factory):
    return save_video(tmp_path_factory.mktemp("svd"))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with prompts, an image for each and masks whose lower half is white."""
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("\n".join(PROMPTS) + "\n", encoding="utf-8")
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
    """Run generate.py; returns the images, of videos all frames, as integers, shape (B, H, W, 3), and the record."""

    def generate(checkpoint, *options, output="out", prompted=True):
        fixed = ["--checkpoint", checkpoint, "--device", "cpu", "--output", output]
        fixed += ["--prompts", "prompts.txt"] if prompted else []
        steps = [] if "--steps" in options else ["--steps", "6"]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, (*fixed, *steps, *options))])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return np.stack([one for path in sorted(Path(output).glob("[0-9]*.png")) for one in frames(path)]), json.loads(
            Path(output, "generation.json").read_text(encoding="utf-8")
        )

    yield generate
    # The script switches the libraries' bars off for the whole process, the hub's among them.
    diffusers_logging.enable_progress_bar()
    transformers_logging.enable_progress_bar()


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
