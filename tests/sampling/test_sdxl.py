"""SDXL as the workflow samples it, on a tiny one with random weights: the pipeline's own images, and which they are."""

import json

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline

from deepcache import DeepCacheError
from deepcache.beyond.calibration.adjoint import Adjoint
from deepcache.cost.macs import branches_macs
from deepcache.data.manifests import write_manifest as write_dataset
from deepcache.methods.method import Method
from deepcache.models.checkpoints import write_manifest
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.random_weights import write_random
from deepcache.sampler import Sampler
from deepcache.sampling.families import bare_unet, load_model
from deepcache.sampling.noise import image_generator
from deepcache.sampling.shards import read_shard
from tests.sampling.applied import cached

PROMPTS = ["a seven", "a handwritten two", "three"]
NEGATIVE = "low quality, blurry"
SAMPLER = Sampler.parse("euler-3-cfg8")
SEED = 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdxl") / "tiny"
    write_random("sdxl-tiny", folder, 0, 8)
    return folder


def model(folder, negative=None, prompts=PROMPTS, precision="float32"):
    return load_model(folder, "cpu", precision, prompts, negative)


def by_hand(folder, **options) -> np.ndarray:
    """The first two images, by the pipeline alone."""
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    assert type(pipe.scheduler) is EulerDiscreteScheduler
    noise = torch.cat([torch.randn(1, 4, 8, 8, generator=image_generator(SEED, image)) for image in range(2)])
    found = pipe(PROMPTS[:2], num_inference_steps=3, guidance_scale=8.0, latents=noise, output_type="np", **options)
    return (found.images * 255).round().astype(np.uint8)


def test_images_are_the_pipelines(folder):
    negative = by_hand(folder, negative_prompt=[NEGATIVE] * 2)
    assert (model(folder, NEGATIVE).sample(range(2), SEED, SAMPLER) == negative).all()
    plain = by_hand(folder)
    assert (model(folder).sample(range(2), SEED, SAMPLER) == plain).all()
    assert plain.shape == (2, 64, 64, 3) and (plain != negative).any()


def test_a_model_paints_other_prompts_with_the_same_networks(folder):
    opened = model(folder, NEGATIVE)
    other = opened.painting(PROMPTS[::-1])
    assert other.unet is opened.unet
    expected = model(folder, NEGATIVE, PROMPTS[::-1]).sample(range(2), SEED, SAMPLER)
    assert (other.sample(range(2), SEED, SAMPLER) == expected).all()
    assert (opened.sample(range(2), SEED, SAMPLER) != expected).any(), "the first keeps its own"


def test_an_image_depends_on_its_number_alone(folder):
    opened = model(folder, NEGATIVE)
    together, alone = opened.sample(range(3), SEED, SAMPLER), opened.sample([2], SEED, SAMPLER)
    assert np.abs(together[2:].astype(int) - alone).max() <= 1, "another batch rounds otherwise"
    other = model(folder, NEGATIVE, ["another", *PROMPTS[1:]]).sample(range(3), SEED, SAMPLER)
    assert [(a != b).any() for a, b in zip(together, other, strict=True)] == [True, False, False]


def test_caching_at_interval_1_is_exact_and_otherwise_is_not(folder):
    opened = model(folder, NEGATIVE)
    full = opened.sample(range(2), SEED, SAMPLER)
    for slug, same in (("uniform-n1-b0", True), ("uniform-n2-b0", False)):
        with cached(opened, Method.parse(slug), SAMPLER) as cache:
            images = opened.sample(range(2), SEED, SAMPLER)
            assert cache.steps == 3
        assert (images == full).all() == same


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_plans_can_be_made(folder, precision):
    """Backward passes go through the first stage, which float16 would overflow, and leave it as it was."""
    opened = model(folder, NEGATIVE, precision=precision)
    before = opened.sample([0], SEED, SAMPLER)
    adjoint = Adjoint(opened.unet, 0)
    with adjoint.differentiable(opened.modules()):
        pixels = opened.decode(opened.make_latents([0], SEED, SAMPLER))
        probe = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
        found = adjoint.products(pixels, probe)
    assert (pixels.detach() - torch.from_numpy(before)).abs().max() <= 2, "with gradients it rounds otherwise"
    assert found.shape == (1, 3, 3) and found.isfinite().all() and (found != 0).any()
    assert next(module for module in opened.modules() if isinstance(module, AutoencoderKL)).dtype == getattr(
        torch, precision
    )
    assert (opened.sample([0], SEED, SAMPLER) == before).all()


def test_weights_of_one_variant_alone_are_found(folder, tmp_path):
    pipe = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float16, local_files_only=True)
    pipe.save_pretrained(tmp_path / "fp16", variant="fp16")
    files = sorted(path.name for path in (tmp_path / "fp16").rglob("*.safetensors"))
    assert len(files) == 4 and all(".fp16." in name for name in files)
    images = model(tmp_path / "fp16", NEGATIVE).sample([0], SEED, SAMPLER)
    assert (images == model(folder, NEGATIVE).sample([0], SEED, SAMPLER)).all()
    (tmp_path / "fp16/text_encoder_2/model.fp16.safetensors").unlink()
    with pytest.raises(DeepCacheError, match="cannot be loaded as Stable Diffusion"):
        model(tmp_path / "fp16")


def test_a_missing_second_text_encoder_is_named(folder, tmp_path):
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    for path in folder.iterdir():
        if path.name not in ("text_encoder_2", "model_index.json"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"text_encoder_2 is missing, which model_index\.json names"):
        model(tmp_path)


def test_macs_need_no_weights(folder):
    unet, tokens = bare_unet(folder)
    full, shallow = branches_macs(unet, [0], dummy_inputs(unet, 1, None, "meta", tokens=tokens))
    assert tokens == 77 and 0 < shallow[0] < full


@pytest.fixture
def sample(folder, tmp_path, call):
    """Run sample.py; the shard's images and what it says."""
    write_manifest(tmp_path / "tiny.json", "tiny", folder, source="random", expected={})
    (tmp_path / "p.txt").write_text("\n".join(PROMPTS), encoding="utf-8")
    write_dataset(tmp_path / "p.json", "p", "text", tmp_path / "p.txt", "local")

    def sample(*options, sampler=SAMPLER.slug):
        asked = ["--checkpoint", tmp_path / "tiny.json", "--prompts", tmp_path / "p.json", "--sampler", sampler]
        asked += ["--shard-size", 1, "--batch-size", 1, "--device", "cpu", "--output", tmp_path / "0.npz"]
        return call("sample.py", *asked, *options), tmp_path / "0.npz"

    return sample


def test_the_negative_prompt_belongs_to_a_runs_identity(sample):
    runs = {}
    for text in (None, NEGATIVE, "-blurry"):
        status, shard = sample(*([] if text is None else [f"--negative-prompt={text}"]))
        assert status == 0
        images, about = read_shard(shard)
        assert about["settings"].get("negative_prompt") == text
        runs[text] = images, about["settings_hash"]
    assert len({settings for _, settings in runs.values()}) == 3
    assert (runs[None][0] != runs[NEGATIVE][0]).any()
    assert "negative_prompt" not in read_shard(sample()[1])[1]["settings"], "runs without one are what they were"


def test_a_negative_prompt_without_guidance_is_refused(sample, capsys):
    status, _ = sample("--negative-prompt", "blurry", sampler="euler-3")
    assert status == 1
    assert "--negative-prompt: euler-3 is without guidance, and so without it" in capsys.readouterr().err


def test_a_negative_prompt_needs_prompts(folder):
    with pytest.raises(DeepCacheError, match=r"tiny: .*needs prompts: correct the model's"):
        load_model(folder, "cpu", negative_prompt="blurry")
