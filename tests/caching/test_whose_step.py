"""Whose step: pictures one after another, by a pipeline or its U-Net alone, ended early, or by another pipeline."""

import itertools

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, HeunDiscreteScheduler, KDPM2DiscreteScheduler

from deepcache import DeepCache, Forecast, uniform
from tests.caching.pipelines import controlled, extra_large, image_to_image, inpainting, text_to_image
from tests.caching.reference import overridden
from tests.caching.test_stable_diffusion import SCHEDULERS, generate

TASKS = {
    "text-to-image": text_to_image,
    "image-to-image": lambda folder: image_to_image(text_to_image(folder)),
    "inpainting": lambda folder: inpainting(folder, 9),
    "ControlNet": controlled,
}
EVERY_SCHEDULER = {
    **SCHEDULERS,
    "Heun": lambda: HeunDiscreteScheduler(steps_offset=1),
    "KDPM2": lambda: KDPM2DiscreteScheduler(steps_offset=1),
}


def counted(pipe, **options):
    """Images without caching, and how often the U-Net was called for them."""
    calls = []
    handle = pipe.unet.register_forward_pre_hook(lambda *_: calls.append(1))
    images = generate(pipe, **options)
    handle.remove()
    return images, len(calls)


@pytest.mark.filterwarnings("ignore:__array_wrap__")
@pytest.mark.parametrize("scheduler", EVERY_SCHEDULER)
@pytest.mark.parametrize(
    ("task", "given", "branch"),
    [
        *itertools.product(TASKS, ["pipeline", "U-Net"], [1]),
        *itertools.product(["text-to-image", "ControlNet"], ["pipeline"], [11]),
    ],
)
def test_pictures_one_after_another(tmp_path, caplog, scheduler, task, given, branch):
    if scheduler == "PNDM" and task in ("image-to-image", "inpainting"):
        strength = {"strength": 1.0}  # diffusers' Runge-Kutta cannot begin in the middle
    else:
        strength = {"strength": 0.9} if task in ("image-to-image", "inpainting") else {}
    pipe = TASKS[task](tmp_path)
    pipe.scheduler = EVERY_SCHEDULER[scheduler]()
    requests = [{**strength, "num_steps": 6}, {**strength, "num_steps": 8}]
    full, calls = zip(*(counted(pipe, **request) for request in requests), strict=True)
    found = []
    with DeepCache(pipe if given == "pipeline" else pipe.unet, schedule=(0, 1, 4), branch=branch) as cache:
        for request in requests:
            found.append(generate(pipe, **request))
            assert cache.full_steps == (0, 1, 4)
            assert cache.steps == calls[len(found) - 1]
    assert not [record for record in caplog.records if record.name.startswith("deepcache")]
    for images, request, uncached in zip(found, requests, full, strict=True):
        with overridden(pipe.unet, branch, (0, 1, 4)):
            assert np.array_equal(images, generate(pipe, **request))
        assert not np.array_equal(images, uncached)


def interrupted(pipe):
    def stop(pipeline, step, t, tensors):
        pipeline._interrupt = step == 1
        return tensors

    generate(pipe, callback_on_step_end=stop)


def broken_off(pipe):
    def stop(pipeline, step, t, tensors):
        if step == 1:
            raise KeyboardInterrupt
        return tensors

    with pytest.raises(KeyboardInterrupt):
        generate(pipe, callback_on_step_end=stop)


ENDINGS = {"interrupted": interrupted, "broken off": broken_off}


@pytest.mark.parametrize("given", ["pipeline", "U-Net"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_after_one_that_ended_early(tmp_path, ending, given):
    pipe = text_to_image(tmp_path)
    with DeepCache(pipe if given == "pipeline" else pipe.unet, 3, 1) as cache:
        for _ in range(2):
            ENDINGS[ending](pipe)
            assert cache.steps == 2
        ours = generate(pipe)
    with overridden(pipe.unet, 1, (0, 3)):
        assert np.array_equal(ours, generate(pipe))


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("ending", ENDINGS)
def test_another_pipeline_after_one_that_ended_early_runs_fully_with_a_warning(tmp_path, caplog, ending, strength):
    pipe = text_to_image(tmp_path)
    other = image_to_image(pipe, scheduler=DDIMScheduler(steps_offset=1, clip_sample=False))
    full = generate(other, strength=strength)
    with DeepCache(pipe, 3, 1):
        ENDINGS[ending](pipe)
        assert not caplog.records
        for _ in range(2):
            assert np.array_equal(generate(other, strength=strength), full)
        assert len(caplog.records) == 1
        assert "outside of its pipeline's trajectory" in caplog.text and "these calls run fully" in caplog.text
        ours = generate(pipe)
    with overridden(pipe.unet, 1, (0, 3)):
        assert np.array_equal(ours, generate(pipe))


@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_unet_alone_caches_another_pipeline_after_one_that_ended_early(tmp_path, ending, strength):
    pipe = text_to_image(tmp_path)
    other = image_to_image(pipe, scheduler=DDIMScheduler(steps_offset=1, clip_sample=False))
    with DeepCache(pipe.unet, 2, 1) as cache:
        ENDINGS[ending](pipe)
        ours = generate(other, strength=strength)
        full_steps = cache.full_steps
        assert full_steps == uniform(int(6 * strength), 2)
    with overridden(pipe.unet, 1, full_steps):
        assert np.array_equal(ours, generate(other, strength=strength))


def test_shortened_and_handed_over(tmp_path):
    """SDXL's base stops at a part of the timesteps, and the refiner goes on with a scheduler of its own."""
    base = extra_large(tmp_path)
    options = {"output_type": "latent", "num_inference_steps": 10, "height": 16, "width": 16}

    def sample(**more):
        return base("a b", generator=torch.Generator().manual_seed(1), **options, **more).images

    with DeepCache(base, 3, 1) as cache:
        ours = [sample(denoising_end=0.6), sample()]
        assert (cache.steps, cache.full_steps) == (10, (0, 3, 6, 9))
        assert cache.bytes_cached == 0
    feeder = {"UNet2DConditionModel": (None, "up_blocks.2.resnets.0")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.caching.reference.FEEDERS", feeder)
        for one, more in zip(ours, ({"denoising_end": 0.6}, {}), strict=True):
            with overridden(base.unet, 1, (0, 3, 6, 9)):
                assert torch.equal(one, sample(**more))


@pytest.mark.parametrize("given", ["pipeline", "U-Net"])
@pytest.mark.parametrize("reuse", [None, Forecast(1)])
def test_guidance_that_ends_leaves_the_schedule_where_it_is(tmp_path, given, reuse):
    """From step 4 on half of the batch is left: that call runs fully, and the schedule goes on with step 6."""
    pipe = text_to_image(tmp_path)

    def end_guidance(pipeline, step, t, tensors):
        if step == 3:
            pipeline._guidance_scale = 0.0
            return {"prompt_embeds": tensors["prompt_embeds"].chunk(2)[1]}
        return {}

    options = {
        "num_steps": 9,
        "callback_on_step_end": end_guidance,
        "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
    }
    with DeepCache(pipe if given == "pipeline" else pipe.unet, schedule=(0, 2, 6), branch=1, reuse=reuse) as cache:
        ours = generate(pipe, **options)
        assert (cache.steps, cache.full_steps) == (9, (0, 2, 4, 6))

    def line(features, step):
        last = [feature for feature in features if (feature[0] < 4) == (step < 4)][-2:]
        if reuse is None or len(last) == 1:
            return last[-1][1]
        (start, first), (end, latest) = last
        weight = (step - start) / (end - start)
        return (1 - weight) * first + weight * latest

    with overridden(pipe.unet, 1, (0, 2, 4, 6), line):
        expected = generate(pipe, **options)
    assert np.array_equal(ours, expected) if reuse is None else np.allclose(ours, expected, rtol=0, atol=1e-4)
