"""What the paper suite downloads and loads."""

from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from deepcache.suite.reading import extend

ROOT = Path(__file__).resolve().parents[2]

# Files of stable-diffusion-v1-5's repository, and which of them a pipeline without safety checker needs.
NEEDED = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
]
OTHERS = [
    "README.md",
    "feature_extractor/preprocessor_config.json",
    "safety_checker/config.json",
    "safety_checker/model.safetensors",
    "text_encoder/model.fp16.safetensors",
    "text_encoder/pytorch_model.bin",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "unet/diffusion_pytorch_model.non_ema.safetensors",
    "v1-5-pruned.safetensors",
    "vae/diffusion_pytorch_model.bin",
]


@pytest.fixture(scope="module")
def checkpoints() -> dict:
    return extend(yaml.safe_load((ROOT / "config/paper.yaml").read_text(encoding="utf-8")), ROOT)["checkpoints"]


@pytest.mark.parametrize("name", ["sd-v1-5", "bk-sdm-base", "bk-sdm-small", "bk-sdm-tiny"])
def test_stable_diffusion_without_its_safety_checker(checkpoints, name):
    patterns = checkpoints[name]["include"]
    wanted = [file for file in [*NEEDED, *OTHERS] if any(fnmatch(file, pattern) for pattern in patterns)]
    assert wanted == NEEDED


def test_the_weights_are_the_authors(checkpoints):
    md5 = {"cifar10": "1fa350b9", "lsun-bedroom": "1921fa46", "lsun-churches": "fdc68a23"}
    for name, digits in md5.items():
        entry = checkpoints[f"ddpm-{name}"]
        assert entry["convert"] == "ddpm" and next(iter(entry["md5"].values())).startswith(digits)
        assert "sha256" not in entry
    for size in ("base", "small", "tiny"):
        assert checkpoints[f"bk-sdm-{size}"]["repository"] == f"nota-ai/bk-sdm-{size}-2m"
