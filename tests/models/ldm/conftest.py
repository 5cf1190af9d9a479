"""The small model as a checkpoint, converted, and as a pipeline."""

import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, safe_open

from deepcache.models.ldm_pipeline import LDMClassPipeline
from tests.models.ldm.compvis import SCRIPT, VECTORS, draw, keys_and_shapes


@pytest.fixture(scope="session")
def settings() -> dict[str, str]:
    with safe_open(VECTORS, "pt") as file:
        return file.metadata()


@pytest.fixture(scope="session")
def vectors() -> dict[str, torch.Tensor]:
    return load_file(VECTORS)


@pytest.fixture(scope="session")
def state_dict(settings) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(int(settings["weights_seed"]))
    shapes = keys_and_shapes("compvis_vectors_keys.csv")
    return {key: draw(key, shape, generator) for key, shape in shapes.items()}


@pytest.fixture(scope="session")
def checkpoint(state_dict, tmp_path_factory) -> Path:
    """The tiny model as Lightning would have left it in training, with classes that are not installed here."""
    names = ["pytorch_lightning", "pytorch_lightning.callbacks", "pytorch_lightning.callbacks.model_checkpoint"]
    callback = type("ModelCheckpoint", (), {"__module__": names[-1]})
    modules = {name: types.ModuleType(name) for name in names}
    modules[names[-1]].ModelCheckpoint = callback
    ignored = {
        "betas": torch.zeros(1000),
        "logvar": torch.zeros(1000),
        "model_ema.decay": torch.tensor(0.9999),
        "model_ema.diffusion_modelinput_blocks00weight": torch.zeros(3),
        "first_stage_model.loss.discriminator.main.0.weight": torch.zeros(2, 2),
        "first_stage_model.model_ema.decay": torch.tensor(0.9999),
    }
    content = {
        "state_dict": {**state_dict, **ignored},
        "epoch": 3,
        "global_step": 178000,
        "callbacks": {callback: {"best_model_score": torch.tensor(0.3), "best_model_path": "", "saver": callback()}},
        "lr_schedulers": [{"last": np.float64(1e-4)}],
    }
    path = tmp_path_factory.mktemp("compvis") / "model.ckpt"
    with pytest.MonkeyPatch.context() as patch:
        for name, module in modules.items():
            patch.setitem(sys.modules, name, module)
        torch.save(content, path)
    return path


@pytest.fixture(scope="session")
def folder(checkpoint, settings, tmp_path_factory) -> Path:
    """The tiny model after the command-line program."""
    output = tmp_path_factory.mktemp("diffusers") / "ldm"
    command = [sys.executable, SCRIPT, "--checkpoint", checkpoint, "--output", output]
    done = subprocess.run([*command, "--latent-size", settings["latent_size"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


@pytest.fixture(scope="session")
def loaded(folder) -> LDMClassPipeline:
    pipe = LDMClassPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def pipe(loaded) -> LDMClassPipeline:
    yield loaded
    assert "forward" not in vars(loaded.unet)
