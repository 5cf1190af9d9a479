"""Latent families: what image j is depends on (seed, j) alone, and caching reaches their U-Nets."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, StableDiffusionPipeline, VQModel
from transformers import CLIPTextConfig, CLIPTextModel

from deepcache import DeepCacheError
from deepcache.caching.plan import Plan
from deepcache.caching.schedulers import SCHEDULERS, make_scheduler
from deepcache.cost.macs import branches_macs
from deepcache.methods.method import Method
from deepcache.methods.schedule import Place
from deepcache.models.clip_vocabulary import clip_tokenizer
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.ldm import SCHEDULER
from deepcache.models.ldm_pipeline import ClassEmbedder, LDMClassPipeline
from deepcache.models.paper_pipelines import SD_SCHEDULER
from deepcache.sampler import Sampler
from deepcache.sampling.families import bare_unet, load_model
from tests.conftest import make_unet2d_condition
from tests.sampling.applied import cached

CHECKPOINTS = Path(__file__).resolve().parents[2] / "resources/checkpoints"
PROMPTS = ["a seven", "a handwritten two", "three"]
FIRST_STAGE = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
}


@pytest.fixture(scope="module")
def class_folder(tmp_path_factory):
    torch.manual_seed(0)
    unet = make_unet2d_condition(sample_size=8)
    vqvae = VQModel(num_vq_embeddings=32, **FIRST_STAGE)
    folder = tmp_path_factory.mktemp("ldm")
    classes = ClassEmbedder(num_embeddings=11, embedding_dim=16)
    LDMClassPipeline(unet, vqvae, classes, DDIMScheduler(**SCHEDULER)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(**FIRST_STAGE),
        text_encoder=CLIPTextModel(CLIPTextConfig(**size)),
        tokenizer=clip_tokenizer(),
        unet=make_unet2d_condition(sample_size=8),
        scheduler=PNDMScheduler(**SD_SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder = tmp_path_factory.mktemp("sd")
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def class_model(class_folder):
    return load_model(class_folder, "cpu")


@pytest.fixture
def text_model(text_folder):
    return load_model(text_folder, "cpu", prompts=PROMPTS)


def draw(model, method, sampler, *batches):
    """Images of all batches, as integers."""
    method, sampler, parts = Method.parse(method), Sampler.parse(sampler), []
    with cached(model, method, sampler) as cache:
        for batch in batches:
            if cache is not None:
                cache.start_trajectory()
            parts.append(model.sample(batch, 1, sampler))
    return np.concatenate(parts).astype(int)


@pytest.mark.parametrize("method", ["full", "uniform-n3-b0"])
@pytest.mark.parametrize(
    ("family", "sampler"),
    [("class_model", "ddim-10-cfg1.5"), ("text_model", "plms-6-cfg7.5"), ("text_model", "ddim-5")],
)
def test_images_do_not_depend_on_batches(request, family, sampler, method):
    model = request.getfixturevalue(family)
    together, apart = draw(model, method, sampler, range(4)), draw(model, method, sampler, [0], [1, 2], [3])
    assert together.shape == (4, 16, 16, 3)
    # Rounding alone; a latent on the border between two entries of the codebook moves more than one level.
    assert (np.abs(together - apart) <= 1).mean() > 0.98
    assert np.ptp(together, axis=(1, 2, 3)).min() > 0


def test_a_plan_decides_where_the_schedule_is_chosen(class_model, tmp_path):
    held = {step: {5 * (step // 5): 1.0} for step in range(10) if step % 5}
    plan = Plan("tiny", {}, "", "ddim-10-cfg1.5", 10, 0, "float32", (0, 5), held)
    sampler, method = Sampler.parse("ddim-10-cfg1.5"), Method.parse("chosen-n5-b0")
    plan.save(tmp_path / "plan.json")
    place = {"manifest": {"name": "tiny", "sha256": {}}, "plan": tmp_path / "plan.json"}
    with cached(class_model, method, sampler, **place) as cache:
        images = class_model.sample(range(2), 1, sampler)
        assert cache.full_steps == (0, 5)
    assert np.array_equal(images, draw(class_model, "uniform-n5-b0", sampler.slug, range(2)))
    with pytest.raises(DeepCacheError, match="this plan has 2 full steps, chosen-n3 has 4"):
        cached(class_model, Method.parse("chosen-n3-b0"), sampler, **place)


@pytest.mark.parametrize(("family", "sampler"), [("class_model", "ddim-10-cfg1.5"), ("text_model", "plms-6-cfg7.5")])
def test_caching_and_guidance_change_the_images(request, family, sampler):
    model = request.getfixturevalue(family)
    full = draw(model, "full", sampler, [0])
    assert np.abs(draw(model, "uniform-n3-b0", sampler, [0]) - full).max() > 0
    assert np.abs(draw(model, "full", sampler.split("-cfg")[0], [0]) - full).max() > 0
    assert (draw(model, "full", sampler, [0]) == full).all(), "nothing of the cache is left"


def test_labels_depend_on_seed_and_index_and_are_uniform(class_model):
    labels = class_model.labels(0, range(2000))
    assert labels[7:9] == class_model.labels(0, [7, 8])
    assert labels != class_model.labels(1, range(2000))
    counts = np.bincount(labels, minlength=10)
    assert len(counts) == 10
    assert ((counts - 200) ** 2 / 200).sum() < 27.9, "chi-squared with 9 degrees of freedom, p = 0.001"


def test_a_schedule_covers_every_call_of_pndm(text_model):
    sampler, method = Sampler.parse("pndm-6-cfg7.5"), Method.parse("uniform-n4-b1")
    with cached(text_model, method, sampler) as cache:
        text_model.sample([0], 1, sampler)
        assert (cache.steps, cache.full_steps) == (15, (0, 4, 8, 12))
        assert cache.full_steps == method.resolve(Place(text_model.schedule_length(sampler))).full_steps
    nonuniform = Method.parse("nonuniform-n4-c10-p1.4-b1")
    with cached(text_model, nonuniform, sampler) as cache:
        text_model.sample([0], 1, sampler)
        assert len(cache.full_steps) == 4 and max(cache.full_steps) > 8


def test_pndm_with_every_call_full_is_pndm_without_caching(text_model):
    sampler = "pndm-6-cfg7.5"
    full = draw(text_model, "full", sampler, [0, 1])
    assert (draw(text_model, "uniform-n1-b1", sampler, [0, 1]) == full).all()
    assert (draw(text_model, "uniform-n4-b1", sampler, [0, 1]) != full).any()
    assert (draw(text_model, "full", "plms-6-cfg7.5", [0, 1]) != full).any()


def test_a_safety_checker_is_neither_needed_nor_run(text_folder, tmp_path):
    """As Stable Diffusion's repositories name one: its folder is not downloaded."""
    folder = tmp_path / "sd"
    shutil.copytree(text_folder, folder)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    index |= {
        "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "requires_safety_checker": True,
    }
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    model = load_model(folder, "cpu", prompts=PROMPTS)
    assert model._pipeline.safety_checker is None
    assert model.sample([0], 0, Sampler("ddim", 2)).shape == (1, 16, 16, 3)


def test_prompts_are_taken_in_turn(text_model, text_folder):
    other = load_model(text_folder, "cpu", prompts=["something else", *PROMPTS[1:]])
    difference = np.abs(draw(text_model, "full", "ddim-3", range(4)) - draw(other, "full", "ddim-3", range(4)))
    assert [int(one.max()) > 0 for one in difference] == [True, False, False, True]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_steps_are_those_that_run(text_model, name):
    sampler, steps = Sampler(name, 6, guidance_scale=2.0), []
    passes = []
    handle = text_model.unet.register_forward_hook(lambda *_: passes.append(1))
    text_model.sample([0], 0, sampler, lambda step: steps.append(step) or True)  # what it returns does not matter
    handle.remove()
    expected = {"plms": 7, "pndm": 15}.get(name, 6)
    assert len(passes) == len(steps) == text_model.num_steps(sampler) == expected
    assert text_model.schedule_length(sampler) == expected - (name == "plms"), "PLMS repeats a call that does not count"


def test_compvis_takes_more_steps_where_the_number_does_not_divide(class_model):
    steps = []
    class_model.sample([0], 0, Sampler("ddim", 91), steps.append)
    assert len(steps) == class_model.num_steps(Sampler("ddim", 91)) == 100


def test_dpm_solver_follows_the_same_ode_from_the_same_noise():
    """Weights that are trained: with random ones a trajectory is too rough for any number of steps."""
    model = load_model(CHECKPOINTS / "digits-ldm", "cpu")
    images = [draw(model, "full", sampler, range(2)) for sampler in ("ddim-100-cfg1.5", "dpmpp-99-cfg1.5", "dpmpp-5")]
    exact, near, far = images
    assert ((near - exact) ** 2).mean() < 0.25 * ((far - exact) ** 2).mean()


def test_dpm_solver_is_cached_as_ddim_is(class_model):
    sampler, method, steps = Sampler("dpmpp", 10, guidance_scale=1.5), Method.parse("uniform-n4-b0"), []
    full = draw(class_model, "full", sampler.slug, range(2))
    assert (draw(class_model, "uniform-n1-b0", sampler.slug, range(2)) == full).all()
    with cached(class_model, method, sampler) as cache:
        images = class_model.sample(range(2), 1, sampler, steps.append)
        assert (cache.steps, cache.full_steps) == (10, (0, 4, 8))
    assert steps == list(range(10))
    assert (images != full).any()


def test_ddim_is_as_before_once_dpm_solver_has_run(class_model):
    before = draw(class_model, "full", "ddim-30-cfg1.5", range(2))
    assert class_model.num_steps(Sampler("dpmpp", 30)) == 30
    assert (draw(class_model, "full", "dpmpp-30-cfg1.5", range(2)) != before).any()
    assert class_model.num_steps(Sampler("ddim", 30)) == 31
    assert (draw(class_model, "full", "ddim-30-cfg1.5", range(2)) == before).all()


def test_only_ddim_draws_noise_on_its_way(class_folder):
    pipe = LDMClassPipeline.from_pretrained(class_folder)
    pipe.scheduler = make_scheduler("dpmpp", pipe.scheduler.config)
    with pytest.raises(DeepCacheError, match="eta must be 0 with DPMSolverMultistepScheduler, not 1"):
        pipe([0], num_inference_steps=2, eta=1)


def test_latents_are_not_clipped():
    """A config that PNDM wrote does not say so, and DDIM's default is for pixels."""
    assert make_scheduler("ddim", PNDMScheduler().config).config.clip_sample is False


def test_half_precision(class_folder):
    model = load_model(class_folder, "cpu", "bfloat16")
    assert model.unet.dtype == torch.bfloat16
    assert draw(model, "full", "ddim-4", [0]).shape == (1, 16, 16, 3)


@pytest.mark.parametrize(
    ("family", "sampler", "message"),
    [
        ("class_model", "plms-10", "plms-10: a class-conditional latent model has ddim-<steps> and dpmpp-<steps> only"),
        ("class_model", "dpmpp-10-quad", "dpmpp-10-quad: a class-conditional latent model has"),
        ("class_model", "dpmpp-1000", "steps of dpmpp must be between 1 and 999, not 1000"),
        ("text_model", "ddim-10-quad", "sampler ddim-10-quad: Stable Diffusion has ddim-<steps>, plms-<steps>"),
    ],
)
def test_other_samplers_are_refused(request, family, sampler, message):
    with pytest.raises(DeepCacheError, match=message):
        request.getfixturevalue(family).sample([0], 0, Sampler.parse(sampler))


def test_prompts_belong_to_text_to_image(class_folder, text_folder):
    with pytest.raises(DeepCacheError, match="LatentClass takes no prompts"):
        load_model(class_folder, "cpu", prompts=PROMPTS)
    with pytest.raises(DeepCacheError, match="TextToImage needs prompts"):
        load_model(text_folder, "cpu")


def test_a_bare_unet_counts_as_the_loaded_one(class_folder, class_model):
    unet, tokens = bare_unet(class_folder)
    assert tokens == 1
    counted = branches_macs(unet, [0], dummy_inputs(unet, 1, None, "meta", tokens=tokens))
    loaded = class_model.unet
    assert counted == branches_macs(loaded, [0], dummy_inputs(loaded, 1, None, "cpu", tokens=1))
