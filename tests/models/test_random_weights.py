import copy
import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models import alexnet
from transformers import CLIPTextModel, CLIPTokenizer

from deepcache import DeepCacheError, num_branches
from deepcache.files import sha256
from deepcache.models import clip_vocabulary, paper_pipelines
from deepcache.models.clip_vocabulary import clip_tokenizer
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.ldm import convert
from deepcache.models.ldm_pipeline import LDMClassPipeline
from deepcache.models.paper import ARCHITECTURES, Architecture
from deepcache.models.random_weights import RANDOM, write_random
from deepcache.models.sdxl import SIZES as SDXL
from deepcache.models.svd import SIZES as SVD
from deepcache.quality.clip_score import load_clip
from deepcache.quality.perceptual import load_perceptual
from deepcache.sampler import Sampler
from deepcache.sampling.families import load_model
from tests.conftest import make_unet2d_condition

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "workflow/scripts/random_checkpoint.py"
OFFICIAL_LDM = Path(__file__).with_name("data") / "ldm/cin256_v2_keys.csv"
INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
ALEXNET = "alexnet-owt-7be5be79.pth"
PROMPTS = [
    "a photograph of an astronaut riding a horse",
    "",
    "A Bear's   3,000 dogs!! they'll -- na\u00efve caf\u00e9, \u6771\u4eac \U0001f3a8 #1",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "long " * 100,
]
SMALLEST = {
    "ddpm-cifar10": 8,
    "ddpm-lsun-bedroom": 32,
    "ddpm-lsun-churches": 32,
    "ldm4g-imagenet": 8,
    "sd-v1-5": 8,
    "bk-sdm-base": 8,
    "bk-sdm-small": 8,
    "bk-sdm-tiny": 4,
}
EMOJI = {"emoji-sd", "emoji-bk-sdm"}


def small(**changes) -> Architecture:
    bare = make_unet2d_condition(**changes).to("meta")
    return Architecture(lambda: copy.deepcopy(bare), steps=50)


def digests(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256(file) for file in folder.rglob("*") if file.is_file()}


def types_in(folder: Path) -> set[torch.dtype]:
    return {value.dtype for path in folder.rglob("*.safetensors") for value in load_file(path).values()}


def settings(config: dict) -> dict:
    """Without diffusers' note of which ones were left at their defaults."""
    return {key: value for key, value in config.items() if key != "_use_default_values"}


@pytest.fixture
def small_sd(monkeypatch):
    """The same pipeline with few channels."""
    monkeypatch.setitem(ARCHITECTURES, "sd-v1-5", small())
    monkeypatch.setitem(paper_pipelines.SD_FIRST_STAGE, "block_out_channels", (32, 32, 32, 32))
    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    for key, value in text.items():
        monkeypatch.setitem(paper_pipelines.SD_TEXT_ENCODER, key, value)


def test_tokenizer_gives_the_ids_of_open_clip():
    tokenizer = clip_tokenizer()
    expected = open_clip.tokenize(PROMPTS)
    ids = tokenizer(PROMPTS, padding="max_length", truncation=True, return_tensors="pt").input_ids
    assert ids.shape == expected.shape == (len(PROMPTS), 77)
    end = tokenizer.eos_token_id
    for ours, theirs in zip(ids, expected, strict=True):
        length = theirs.tolist().index(end) + 1
        assert torch.equal(ours[:length], theirs[:length])
        assert (ours[length:] == end).all()  # Stable Diffusion's padding; open_clip's is 0
    vocabulary = SimpleTokenizer().encoder
    renamed = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    assert tokenizer.get_vocab() == {renamed.get(token, token): number for token, number in vocabulary.items()}
    assert len(tokenizer) == 49408


def test_a_vocabulary_that_is_missing_or_another_one_is_refused(monkeypatch, tmp_path):
    package = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(clip_vocabulary.importlib.util, "find_spec", lambda name: package)
    with pytest.raises(DeepCacheError, match=r"bpe_simple_vocab_16e6\.txt\.gz: no such file: install open_clip_torch"):
        clip_tokenizer()
    (tmp_path / "bpe_simple_vocab_16e6.txt.gz").write_bytes(gzip.compress(b"version\ni n\nt h\n"))
    with pytest.raises(DeepCacheError, match="makes 517 tokens, not 49408"):
        clip_tokenizer()


def test_the_program_writes_a_ddpm_that_samples(tmp_path):
    folder = tmp_path / "ddpm"
    command = [sys.executable, SCRIPT, "--architecture", "ddpm-cifar10", "--seed", "3", "--sample-size", "8"]
    done = subprocess.run([*command, "--output", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ddpm-cifar10 random weights: 100%" in done.stderr
    assert list(tmp_path.iterdir()) == [folder]
    record = {"architecture": "ddpm-cifar10", "seed": 3, "sample_size": 8}
    assert json.loads((folder / "random.json").read_text(encoding="utf-8")) == record
    assert types_in(folder) == {torch.float16}
    model = load_model(folder, "cpu")
    assert sum(p.numel() for p in model.unet.parameters()) == 35_746_307
    with torch.inference_mode():
        images = model.sample(range(2), 0, Sampler.parse("ddim-2"))
        noise = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        output = model.unet(noise, torch.tensor([0, 10, 500, 999])).sample
    assert images.shape == (2, 8, 8, 3)
    assert all(len(np.unique(image)) > 10 for image in images)
    assert not np.array_equal(*images)
    assert 0.3 < output.std() < 3


def test_stable_diffusion(small_sd, tmp_path):
    write_random("sd-v1-5", tmp_path / "sd", 0)
    assert types_in(tmp_path / "sd") == {torch.float16}
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "sd", local_files_only=True, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    assert isinstance(pipe.text_encoder, CLIPTextModel)
    assert isinstance(pipe.tokenizer, CLIPTokenizer)
    assert pipe.tokenizer.model_max_length == 77
    assert isinstance(pipe.scheduler, PNDMScheduler)
    assert pipe.safety_checker is None
    assert pipe.vae.config.sample_size == 128

    def image(prompt: str) -> np.ndarray:
        generator = torch.Generator().manual_seed(0)
        return pipe(prompt, num_inference_steps=2, generator=generator, output_type="np").images

    first, second = image("a cat"), image("a horse in the rain")
    assert first.shape == (1, 128, 128, 3)
    assert np.isfinite(first).all()
    assert first.std() > 0.05
    assert np.abs(first - second).mean() > 0.01


def test_the_seed_decides_every_byte(small_sd, tmp_path):
    state = torch.random.get_rng_state()
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        write_random("sd-v1-5", tmp_path / name, seed, 8)
    a, b, c = (digests(tmp_path / name) for name in "abc")
    assert a == b
    differing = {name for name in a if a[name] != c[name]}
    assert differing == {"random.json", *(name for name in a if name.endswith(".safetensors"))}
    assert len(differing) == 4
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("architecture", "unet"),
    [
        ("sd-v1-5", 859_520_964),
        ("bk-sdm-base", 579_384_964),
        ("bk-sdm-small", 482_346_884),
        ("bk-sdm-tiny", 323_384_964),
    ],
)
def test_parts_of_stable_diffusion_have_the_original_sizes(architecture, unet):
    pipe = RANDOM[architecture](architecture, 16)
    counts = {
        name: sum(p.numel() for p in getattr(pipe, name).parameters()) for name in ("unet", "vae", "text_encoder")
    }
    assert counts == {"unet": unet, "vae": 83_653_863, "text_encoder": 123_060_480}
    assert {p.device.type for p in pipe.unet.parameters()} == {"meta"}
    assert pipe.unet.config.sample_size == 16
    assert pipe.vae.config.sample_size == 128


def test_parts_of_sdxl_have_the_original_sizes():
    pipe = RANDOM["sdxl"]("sdxl", None)
    parts = {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    assert {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()} == {
        "unet": 2_567_463_684,
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    }
    assert {(p.device.type, p.dtype) for part in parts.values() for p in part.parameters()} == {("meta", torch.float16)}
    assert (pipe.unet.config.sample_size, pipe.vae.config.sample_size) == (128, 1024)


def test_the_tiny_sdxl_has_the_classes_and_the_blocks_of_the_base_model(tmp_path):
    tiny, base = (RANDOM[name](name, None) for name in SDXL)
    for name, part in base.components.items():
        assert type(tiny.components[name]) is type(part), name
    for key in ("down_block_types", "up_block_types", "layers_per_block", "addition_embed_type", "in_channels"):
        assert tiny.unet.config[key] == base.unet.config[key], key
    assert num_branches(tiny.unet) == num_branches(base.unet) == 9
    write_random("sdxl-tiny", tmp_path / "tiny", 0)
    assert sum(path.stat().st_size for path in (tmp_path / "tiny").rglob("*.safetensors")) < 20e6
    saved = StableDiffusionXLPipeline.from_pretrained(tmp_path / "tiny", local_files_only=True)
    assert saved.tokenizer_2("a", padding="max_length").input_ids[-1] == 0, "as SDXL's second tokenizer pads"
    assert saved.tokenizer("a", padding="max_length").input_ids[-1] == saved.tokenizer.eos_token_id


def test_parts_of_stable_video_diffusion_have_the_original_sizes():
    """Together, at two bytes each, the size of the published variant fp16: 4.51 GB."""
    pipe = RANDOM["svd"]("svd", None)
    parts = {name: part for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)}
    assert {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()} == {
        "unet": 1_524_623_082,
        "vae": 97_742_847,
        "image_encoder": 632_076_800,
    }
    assert {(p.device.type, p.dtype) for part in parts.values() for p in part.parameters()} == {("meta", torch.float16)}
    assert dummy_inputs(pipe.unet, 2, None, "meta")["sample"].shape == (2, 14, 8, 72, 128)


def test_the_tiny_stable_video_diffusion_has_the_classes_and_the_blocks_of_the_published_one():
    tiny, published = (RANDOM[name](name, None) for name in SVD)
    for name, part in published.components.items():
        assert type(tiny.components[name]) is type(part), name
    for key in ("down_block_types", "up_block_types", "layers_per_block", "in_channels", "out_channels"):
        assert tiny.unet.config[key] == published.unet.config[key], key
    assert num_branches(tiny.unet) == num_branches(published.unet) == 12
    assert tiny.scheduler.config == published.scheduler.config


def test_parts_of_ldm_are_those_of_the_official_checkpoint():
    with OFFICIAL_LDM.open(encoding="utf-8") as lines:
        shapes = {row["key"]: tuple(map(int, row["shape"].split("x"))) for row in csv.DictReader(lines)}
    official = convert({key: torch.empty(shape, device="meta") for key, shape in shapes.items()})
    ldm = RANDOM["ldm4g-imagenet"]("ldm4g-imagenet", None)
    for name in ("unet", "vqvae", "class_embedder"):
        ours, theirs = getattr(ldm, name), getattr(official, name)
        assert settings(ours.config) == settings(theirs.config)
        assert {key: value.shape for key, value in ours.state_dict().items()} == {
            key: value.shape for key, value in theirs.state_dict().items()
        }
    assert settings(ldm.scheduler.config) == settings(official.scheduler.config)


def test_ldm(monkeypatch, tmp_path):
    monkeypatch.setitem(ARCHITECTURES, "ldm4g-imagenet", small(in_channels=3, out_channels=3, cross_attention_dim=512))
    monkeypatch.setitem(paper_pipelines.LDM_FIRST_STAGE, "block_out_channels", (32, 32, 32))
    write_random("ldm4g-imagenet", tmp_path / "ldm", 0, 8)
    pipe = LDMClassPipeline.from_pretrained(tmp_path / "ldm")
    pipe.set_progress_bar_config(disable=True)
    generator = [torch.Generator().manual_seed(0) for _ in range(2)]
    images = pipe([3, 7], num_inference_steps=2, generator=generator, output_type="np").images
    assert images.shape == (2, 32, 32, 3)
    assert np.isfinite(images).all()
    assert images.std(axis=(1, 2)).min() > 0.05
    assert np.abs(images[0] - images[1]).mean() > 0.01  # the classes alone are not the same


def test_inception_is_torch_fidelitys(tmp_path):
    write_random("inception", tmp_path / "a", 0)
    write_random("inception", tmp_path / "b", 0)
    assert sha256(tmp_path / "a" / INCEPTION) == sha256(tmp_path / "b" / INCEPTION)
    assert torch.load(tmp_path / "a" / INCEPTION, weights_only=True)["fc.weight"].shape == (1008, 2048)
    names = ["64", "768", "2048", "logits_unbiased"]
    extractor = FeatureExtractorInceptionV3(
        "inception-v3-compat", names, feature_extractor_weights_path=tmp_path / "a" / INCEPTION
    )
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = extractor(images)
    for values in features:
        assert values.isfinite().all()
        assert 0.01 < values.abs().mean() < 100
        assert (values.std(0) / values.abs().mean()).mean() > 0.01


def test_clip_has_the_original_size():
    [model] = RANDOM["clip-vit-b-32"]("clip-vit-b-32", None).components.values()
    assert sum(p.numel() for p in model.parameters()) == 151_277_313
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("meta", torch.float16)}


def test_clip_is_open_clips(monkeypatch, tmp_path):
    vision = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
    few = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-32", few)  # the same model with few channels
    write_random("clip-vit-b-32", tmp_path, 0)
    assert types_in(tmp_path) == {torch.float16}
    _, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}")
    assert str(preprocess) == str(open_clip.create_model_and_transforms("ViT-B-32")[2])
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), dtype=np.uint8)
    scores = load_clip(tmp_path, torch.device("cpu")).scores(images, PROMPTS[:4] * 2)
    assert 0 < scores.max() < 100
    assert scores.std() > 0.1


def test_alexnet_is_torchvisions(tmp_path):
    write_random("lpips-alexnet", tmp_path, 0)
    state = torch.load(tmp_path / ALEXNET, weights_only=True)
    assert {key: (value.shape, value.dtype) for key, value in state.items()} == {
        key: (value.shape, value.dtype) for key, value in alexnet().state_dict().items()
    }
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    distances = load_perceptual(tmp_path, torch.device("cpu")).distances(images, images // 32 * 32)
    (tmp_path / ALEXNET).unlink()  # 244 MB
    assert (distances > 1e-5).all()
    assert distances[0] != distances[1]


def test_smallest_sides():
    others = {"inception", "clip-vit-b-32", "lpips-alexnet", *EMOJI, *SDXL, *SVD}
    assert set(SMALLEST) == set(ARCHITECTURES) == set(RANDOM) - others
    for architecture, side in {**dict.fromkeys(SDXL, 4), **dict.fromkeys(SVD, 8)}.items():
        assert RANDOM[architecture](architecture, side).unet.config.sample_size == side
        for wrong in (side // 2, side + 1):
            with pytest.raises(DeepCacheError, match=f"{architecture}: sample_size must be a multiple of {side}, sin"):
                RANDOM[architecture](architecture, wrong)
    for architecture in EMOJI:
        with pytest.raises(DeepCacheError, match="has one size: leave sample_size out"):
            RANDOM[architecture](architecture, 8)
    for architecture, side in SMALLEST.items():
        known = ARCHITECTURES[architecture]
        unet = known.build()
        inputs = dummy_inputs(unet, 1, side, "meta", tokens=known.tokens)
        assert unet(**inputs).sample.shape == inputs["sample"].shape
        for wrong in (side // 2, side + 1):
            with pytest.raises(DeepCacheError, match=f"{architecture}: sample_size must be a multiple of {side},"):
                RANDOM[architecture](architecture, wrong)


@pytest.mark.parametrize(
    ("architecture", "seed", "size", "message"),
    [
        ("sd-xl", 0, None, r"architecture must be one of ddpm-cifar10, .*, lpips-alexnet, not 'sd-xl'"),
        ("ddpm-cifar10", -1, None, r"seed must be from 0 to 2\^63 - 1, not -1"),
        ("ddpm-cifar10", 0, 4, "sample_size must be a multiple of 8, since there are 4 levels, not 4"),
        ("inception", 0, 299, "inception takes images of any size: leave sample_size out"),
        ("clip-vit-b-32", 0, 224, "clip-vit-b-32 takes images of any size: leave sample_size out"),
        ("lpips-alexnet", 0, 224, "lpips-alexnet takes images of any size: leave sample_size out"),
    ],
)
def test_bad_arguments(architecture, seed, size, message, tmp_path):
    with pytest.raises(DeepCacheError, match=message):
        write_random(architecture, tmp_path / "out", seed, size)
    assert not (tmp_path / "out").exists()


def test_only_its_own_folders_are_replaced(small_sd, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").touch()
    with pytest.raises(DeepCacheError, match=r"out exists and holds no random\.json"):
        write_random("sd-v1-5", tmp_path / "out", 0)
    (tmp_path / "out" / "thesis.tex").rename(tmp_path / "out" / "random.json")
    write_random("sd-v1-5", tmp_path / "out", 0, 8)
    assert json.loads((tmp_path / "out" / "random.json").read_text(encoding="utf-8"))["sample_size"] == 8
