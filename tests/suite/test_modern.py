"""What the modern suite downloads, and what the smoke suite has of it."""

from fnmatch import fnmatch
from pathlib import Path

import pandas as pd

from deepcache.runs.families import ARCHITECTURES, TEXT_TO_IMAGE
from deepcache.suite.layout import layout_runs, table_layouts
from tests.suites import read_suite

ROOT = Path(__file__).resolve().parents[2]
MODERN, SMOKE = read_suite("modern"), read_suite("modern-smoke")
# Files of stable-diffusion-xl-base-1.0's repository, and which of them a pipeline in fp16 needs.
NEEDED = [
    "model_index.json",
    "scheduler/scheduler_config.json",
    "text_encoder/config.json",
    "text_encoder/model.fp16.safetensors",
    "text_encoder_2/config.json",
    "text_encoder_2/model.fp16.safetensors",
    "tokenizer/merges.txt",
    "tokenizer/special_tokens_map.json",
    "tokenizer/tokenizer_config.json",
    "tokenizer/vocab.json",
    "tokenizer_2/merges.txt",
    "tokenizer_2/special_tokens_map.json",
    "tokenizer_2/tokenizer_config.json",
    "tokenizer_2/vocab.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
]
OTHERS = [
    "README.md",
    "sd_xl_base_1.0.safetensors",
    "text_encoder/model.safetensors",
    "text_encoder/model.onnx",
    "text_encoder_2/model.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "unet/model.onnx",
    "vae/diffusion_pytorch_model.safetensors",
    "vae_1_0/config.json",
    "vae_1_0/diffusion_pytorch_model.fp16.safetensors",
]


def test_one_variant_of_sdxl_is_downloaded():
    patterns = MODERN["checkpoints"]["sdxl"]["include"]
    wanted = [file for file in [*NEEDED, *OTHERS] if any(fnmatch(file, pattern) for pattern in patterns)]
    assert wanted == NEEDED


def test_every_row_has_mlperfs_windows():
    layout = table_layouts(MODERN)["sdxl"]
    published = pd.read_csv(ROOT / "config/published" / layout["published"]["file"])
    (key,) = layout["published"]["key"]
    assert {row["labels"][key] for row in layout["rows"]} == set(published[key])
    assert published["images"].tolist() == [MODERN["models"]["sdxl"]["samples"]]
    slugs = [run.method.slug for run in layout_runs(layout)]
    assert slugs == ["full", "uniform-n2-b0", "uniform-n3-b0", "chosen-n2-b0", "chosen-n3-b0"]


def test_the_smoke_suite_is_the_modern_one_in_small():
    assert ARCHITECTURES[SMOKE["checkpoints"]["sdxl"]["architecture"]] is TEXT_TO_IMAGE
    assert {entry["source"] for entry in SMOKE["checkpoints"].values()} == {"random"}
    assert {entry["source"] for entry in SMOKE["datasets"].values()} == {"local", "random"}
    for key in ("columns", "rows", "published", "model", "branch"):
        assert SMOKE["tables"]["sdxl"][key] == MODERN["tables"]["sdxl"][key]
    for name, model in SMOKE["models"].items():
        assert model["negative_prompt"] == MODERN["models"][name]["negative_prompt"]
        assert model["sampler"].startswith("euler-") and model["sampler"].endswith("-cfg8")
