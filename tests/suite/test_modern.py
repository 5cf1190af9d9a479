"""What the modern suite downloads, and what the smoke suite has of it."""

from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
import pytest

from deepcache.runs.families import ARCHITECTURES, IMAGE_TO_VIDEO, TEXT_TO_IMAGE
from deepcache.suite.layout import layout_runs, table_layouts
from tests.suites import read_suite

ROOT = Path(__file__).resolve().parents[2]
MODERN, SMOKE = read_suite("modern"), read_suite("modern-smoke")
# Files of stable-diffusion-xl-base-1.0's repository, and which of them a pipeline in fp16 needs.
SDXL_NEEDED = [
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
SDXL_OTHERS = [
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
# The same of stable-video-diffusion-img2vid's.
SVD_NEEDED = [
    "feature_extractor/preprocessor_config.json",
    "image_encoder/config.json",
    "image_encoder/model.fp16.safetensors",
    "model_index.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "unet/diffusion_pytorch_model.fp16.safetensors",
    "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
]
SVD_OTHERS = [
    "LICENSE.md",
    "README.md",
    "image_encoder/model.safetensors",
    "svd.safetensors",
    "svd_image_decoder.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
]


@pytest.mark.parametrize(
    ("checkpoint", "needed", "others"), [("sdxl", SDXL_NEEDED, SDXL_OTHERS), ("svd", SVD_NEEDED, SVD_OTHERS)]
)
def test_one_variant_is_downloaded(checkpoint, needed, others):
    patterns = MODERN["checkpoints"][checkpoint]["include"]
    wanted = [file for file in [*needed, *others] if any(fnmatch(file, pattern) for pattern in patterns)]
    assert wanted == needed


def test_every_row_has_mlperfs_windows():
    layout = table_layouts(MODERN)["sdxl"]
    published = pd.read_csv(ROOT / "config/published" / layout["published"]["file"])
    (key,) = layout["published"]["key"]
    assert {row["labels"][key] for row in layout["rows"]} == set(published[key])
    assert published["images"].tolist() == [MODERN["models"]["sdxl"]["samples"]]
    slugs = [run.method.slug for run in layout_runs(layout)]
    assert slugs == ["full", "uniform-n2-b0", "uniform-n3-b0", "chosen-n2-b0", "chosen-n3-b0"]


def test_videos_are_sampled_without_caching_and_uniformly():
    slugs = [run.method.slug for run in layout_runs(table_layouts(MODERN)["svd"])]
    assert slugs == ["full", "uniform-n2-b0", "uniform-n3-b0", "uniform-n5-b0"]
    assert MODERN["models"]["svd"]["sampler"] == "euler-25-cfg2.5", "as the released code samples 14 frames"


def test_the_smoke_suite_is_the_modern_one_in_small():
    assert ARCHITECTURES[SMOKE["checkpoints"]["sdxl"]["architecture"]] is TEXT_TO_IMAGE
    assert ARCHITECTURES[SMOKE["checkpoints"]["svd"]["architecture"]] is IMAGE_TO_VIDEO
    assert {entry["source"] for entry in SMOKE["checkpoints"].values()} == {"random"}
    assert {entry["source"] for entry in SMOKE["datasets"].values()} == {"local", "random"}
    for name, table in MODERN["tables"].items():
        assert {**SMOKE["tables"][name], "note": None} == {**table, "note": None}
    for name, model in SMOKE["models"].items():
        for key in ("prompts", "negative_prompt", "branches"):
            assert model.get(key) == MODERN["models"][name].get(key)
        ends = [one["sampler"].split("-")[::2] for one in (model, MODERN["models"][name])]
        assert ends[0] == ends[1], "sampler and guidance"
