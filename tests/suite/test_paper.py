"""What the paper suite downloads and loads."""

from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from deepcache.suite.estimate import sampled_images
from deepcache.suite.layout import diversity_runs, table_layouts, timed_variants
from deepcache.suite.reading import extend
from deepcache.suite.timing import timed_as
from tests.suites import read_suite

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


@pytest.fixture(scope="module")
def suites() -> dict[str, dict]:
    return {name: read_suite(name) for name in ("paper", "paper-quick")}


def test_paper_quick_samples_the_first_images_of_the_papers_suite(suites):
    paper, quick = suites["paper"], suites["paper-quick"]
    assert quick["suite"] == paper["suite"], "or nothing would lie where the paper's suite looks for it"
    for name, model in quick["models"].items():
        whole = paper["models"][name]
        assert model["samples"] < whole["samples"] and model["samples"] % model["shard_size"] == 0
        assert {**model, "samples": whole["samples"]} == whole, "else its shards would be others"
    for key in ("device", "checkpoints", "datasets", "references", "timing", "paired_resamples"):
        assert quick[key] == paper[key], key
    images = {}
    for name, config in suites.items():
        images[name] = sampled_images(config, list(table_layouts(config).values()), diversity_runs(config))
    assert all(images["paper-quick"][run] <= images["paper"][run] for run in images["paper-quick"])


def test_paper_quick_times_what_the_papers_suite_times(suites):
    """A timing job that another config would redo is not one that both share."""
    layouts = {name: table_layouts(config) for name, config in suites.items()}
    for table, layout in layouts["paper-quick"].items():
        whole = layouts["paper"][table]
        assert layout["timing"] == whole["timing"]
        assert timed_variants(layout) == timed_variants(whole)
    assert timed_as(suites["paper-quick"]) == timed_as(suites["paper"])


def test_paper_quick_compares_no_number_of_fewer_images_with_the_papers(suites):
    assert not suites["paper-quick"]["verdicts"]["comparable"] and suites["paper"]["verdicts"]["comparable"]
