"""tune on a pipeline, its plan on the same and on others."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, PNDMScheduler, StableDiffusionPipeline, StableDiffusionXLPipeline

from deepcache import DeepCache, DeepCacheError, Plan, tune
from deepcache.beyond.tuning import tune as module
from deepcache.beyond.tuning.budget import Budget
from deepcache.beyond.tuning.tune import tune_model
from deepcache.caching.plan import open_plan
from deepcache.caching.weighted import Weighted
from deepcache.quality.partial import Partial
from deepcache.sampler import Sampler
from deepcache.sampling.pipeline_model import PipelineModel
from tests.beyond.tuning.conftest import SMALL
from tests.conftest import ROOT
from tests.generation.checkpoints import PROMPTS, save_sdxl

pytestmark = pytest.mark.usefixtures("quick")


def opened(folder, kind=StableDiffusionPipeline):
    pipe = kind.from_pretrained(folder, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def pipe(folder):
    return opened(folder)


@pytest.fixture
def plan(pipe):
    return tune(pipe, PROMPTS, speedup=3.0, steps=20, guidance_scale=3.0)


def image(pipe, **options):
    generator = torch.Generator().manual_seed(0)
    return pipe("a seven", generator=generator, output_type="np", **options).images[0]


def test_a_plan_is_followed_on_its_pipeline(pipe, plan, tmp_path):
    plan.save(tmp_path / "plan.json")
    assert isinstance(plan, Plan) and open_plan(tmp_path / "plan.json") == plan
    assert set(plan.options) == {"num_inference_steps", "guidance_scale"} and plan.options["guidance_scale"] == 3
    assert plan.calibration["budget"] == "speed-up 3" and plan.calibration["seconds"] <= 20 / 3
    own = pipe.scheduler
    with DeepCache.from_plan(pipe, tmp_path / "plan.json") as cache:
        planned = pipe.scheduler
        assert planned is not own
        found = image(pipe, **plan.options)
        assert cache.full_steps == plan.full_steps and cache.steps == plan.num_steps
    assert pipe.scheduler is own
    pipe.scheduler = planned
    with DeepCache(pipe, branch=plan.branch, schedule=plan.full_steps, reuse=Weighted(plan.weights)):
        assert np.array_equal(found, image(pipe, **plan.options))


def test_the_pipeline_is_left_as_it_was(pipe):
    own = pipe.scheduler
    before = image(pipe, num_inference_steps=4)
    tune(pipe, PROMPTS, speedup=2.5, steps=20)
    assert pipe.scheduler is own and isinstance(own, PNDMScheduler)
    assert DeepCache.of(pipe) is None
    assert pipe._progress_bar_config == {"disable": True}
    assert np.array_equal(before, image(pipe, num_inference_steps=4))


def test_another_number_of_steps_is_refused_before_any_is_made(pipe, plan):
    with DeepCache.from_plan(pipe, plan), pytest.raises(DeepCacheError) as refused:
        image(pipe, num_inference_steps=plan.options["num_inference_steps"] + 1)
    assert str(refused.value) == (
        f"this plan is for {plan.sampler}: call the pipeline with num_inference_steps="
        f"{plan.options['num_inference_steps']}, or with **plan.options"
    )


def test_a_scheduler_that_was_put_in_meanwhile_stays(pipe, plan):
    with DeepCache.from_plan(pipe, plan):
        pipe.scheduler = mine = PNDMScheduler.from_config(pipe.scheduler.config)
    assert pipe.scheduler is mine


def test_other_weights_are_refused(folder, pipe, plan):
    other = opened(folder)
    with torch.no_grad():
        next(other.unet.parameters()).mul_(1.01)
    with pytest.raises(DeepCacheError, match="this plan was made for other weights, those of StableDiffusionPipeline"):
        DeepCache.from_plan(other, plan)
    DeepCache.from_plan(opened(folder).to(torch.float16), plan)  # the same weights, rounded


def test_a_unet_alone_has_no_sampler(pipe, plan):
    with pytest.raises(DeepCacheError, match="give from_plan the pipeline, not its U-Net"):
        DeepCache.from_plan(pipe.unet, plan)


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        ([], {"speedup": 3}, "prompts must be a list of at least one prompt"),
        ("a seven", {"speedup": 3}, "prompts must be a list of at least one prompt"),
        (PROMPTS, {}, "give one of speedup, seconds and macs, not none"),
        (PROMPTS, {"speedup": 15, "steps": 20}, "speed-up 15 cannot be reached: at most 7.7, with 4 steps"),
        (PROMPTS, {"speedup": 3, "guidance": 3}, "guidance: StableDiffusionPipeline takes no such argument"),
    ],
)
def test_what_cannot_be_is_refused(pipe, prompts, options, message):
    own = pipe.scheduler
    with pytest.raises(DeepCacheError, match=message):
        tune(pipe, prompts, **options)
    assert pipe.scheduler is own


def test_a_pipeline_without_prompts_is_refused(unet2d):
    pipe = DDPMPipeline(unet2d, PNDMScheduler())
    with pytest.raises(DeepCacheError, match="DDPMPipeline does not"):
        tune(pipe, PROMPTS, speedup=2)


def test_sdxl_is_tuned_at_the_size_that_is_asked_for(tmp_path):
    pipe = opened(save_sdxl(tmp_path / "sdxl"), StableDiffusionXLPipeline)
    seen = []
    handle = pipe.unet.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape[-2:]))
    plan = tune(pipe, PROMPTS, speedup=3.0, steps=20, height=32, width=48, negative_prompt="grey")
    handle.remove()
    assert set(seen) == {(32 // pipe.vae_scale_factor, 48 // pipe.vae_scale_factor)}
    with DeepCache.from_plan(pipe, plan) as cache:
        image(pipe, height=32, width=48, **plan.options)
        assert cache.full_steps == plan.full_steps


def test_what_was_found_out_is_kept_until_all_is(pipe, tmp_path, monkeypatch):
    def stop(tried):
        raise KeyboardInterrupt

    monkeypatch.setattr(Partial, "due", lambda self: True)
    options = {"speedup": 3.0, "steps": 20, "partial": tmp_path / "partial.npz"}
    with pytest.raises(KeyboardInterrupt):
        tune(pipe, PROMPTS, **options, on_tried=stop)
    assert (tmp_path / "partial.npz").exists()
    tune(pipe, PROMPTS, **options)
    assert not (tmp_path / "partial.npz").exists()


def test_a_plan_that_misses_the_time_is_looked_for_again(pipe, monkeypatch):
    """Where steps cost a fifth more than was thought."""
    monkeypatch.setattr(module, "_measured", lambda model, usual, best, *_: (20.0, 1.2 * best.cost))
    found = tune(pipe, PROMPTS, speedup=3.0, steps=20).calibration
    assert found["seconds"] <= 1.03 * 20 / 3


def test_what_was_tried_is_told_once_and_the_pick_first(pipe, monkeypatch):
    factors = iter([1.2, 1.0, 1.0])
    monkeypatch.setattr(module, "_measured", lambda model, usual, best, *_: (20.0, next(factors) * best.cost))
    model = PipelineModel(pipe, PROMPTS)
    options = {"effort": SMALL, "execution": "eager"}
    tuned = tune_model(model, Sampler("ddim", 20), Budget(speedup=3.0), torch.device("cpu"), **options)
    digests = [one.candidate.digest for one in tuned.tried]
    assert len(set(digests)) == len(digests)
    assert tuned.seconds[1] == tuned.best.cost <= 1.03 * 20 / 3


def test_a_file_says_what_decided(pipe, plan, tmp_path):
    plan.save(tmp_path / "plan.json")
    content = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert {"unet", "sampler", "num_steps", "branch", "full_steps", "weights", "execution", "calibration"} <= set(
        content
    )
    content["execution"] = "fast"
    (tmp_path / "plan.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"plan\.json: execution must be auto or one of eager"):
        open_plan(tmp_path / "plan.json")


def test_the_lines_of_the_readme_run(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = [one for one in re.findall(r"```python\n(.*?)```", text, flags=re.S) if "tune(" in one]
    monkeypatch.chdir(tmp_path)
    Path("resources").symlink_to(ROOT / "resources")
    names = {}
    exec(block, names)
    assert names["image"].size == (32, 32) and isinstance(names["plan"], Plan)
