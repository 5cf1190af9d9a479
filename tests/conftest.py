"""Tiny U-Nets of both classes with random weights, four levels of two layers: twelve branches. Programs, run here."""

import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel, UNetSpatioTemporalConditionModel

from deepcache.caching import execution
from deepcache.cost import variants
from deepcache.gpus import JOBS_PER_GPU
from tests.recorder import Replays

ROOT = Path(__file__).resolve().parents[1]
# Tests that run side by side, and what they start, share a GPU.
os.environ[JOBS_PER_GPU] = "0"


def _seeded(build):
    torch.manual_seed(0)
    return build().eval()


def make_unet2d(**changes) -> UNet2DModel:
    """An unconditional (or class-conditional) U-Net for 1x16x16 samples."""
    settings = {
        "sample_size": 16,
        "in_channels": 1,
        "out_channels": 1,
        "layers_per_block": 2,
        "block_out_channels": (8, 8, 16, 16),
        "down_block_types": ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        "norm_num_groups": 4,
        "attention_head_dim": 4,
    }
    return _seeded(lambda: UNet2DModel(**{**settings, **changes}))


def make_unet2d_condition(**changes) -> UNet2DConditionModel:
    """A U-Net with cross-attention for 4x16x16 latents and a context of 16 channels, shaped as Stable Diffusion's."""
    settings = {
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 2,
        "block_out_channels": (8, 8, 16, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "norm_num_groups": 4,
        "attention_head_dim": 2,
        "cross_attention_dim": 16,
    }
    return _seeded(lambda: UNet2DConditionModel(**{**settings, **changes}))


def make_unet_spatio_temporal(**changes) -> UNetSpatioTemporalConditionModel:
    """A U-Net for three frames of 4x8x8 latents, shaped as Stable Video Diffusion's."""
    settings = {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (32, 32),
        "down_block_types": ("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        "up_block_types": ("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 24,
        "cross_attention_dim": 16,
        "num_attention_heads": 2,
        "num_frames": 3,
    }
    return _seeded(lambda: UNetSpatioTemporalConditionModel(**{**settings, **changes}))


# The devices of a test that runs on both.
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture
def unet2d() -> UNet2DModel:
    """See make_unet2d."""
    return make_unet2d()


@pytest.fixture
def unet2d_condition() -> UNet2DConditionModel:
    """See make_unet2d_condition."""
    return make_unet2d_condition()


@pytest.fixture(autouse=True)
def one_thread():
    """One thread: results do not depend on the machine, and tests run side by side without quarrelling."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def call() -> Callable[..., int]:
    """Run a program of workflow/scripts in this process; returns its exit status."""

    def call(script: str, *options) -> int:
        path = str(ROOT / "workflow/scripts" / script)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [path, *map(str, options)])
            try:
                runpy.run_path(path, run_name="__main__")
            except SystemExit as end:
                return end.code
        return 0

    return call


@pytest.fixture
def recorder(monkeypatch):
    """As if models lay on a GPU."""
    recorder = Replays()
    for module in (execution, variants):
        monkeypatch.setattr(module, "CudaRecorder", lambda: recorder)
    monkeypatch.setattr(execution.Execution, "on", lambda self, unet: self)
    return recorder
