"""Stable Diffusion pipelines with caching give the images of the same pipelines with one feature overridden."""

import itertools
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    LMSDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
)

from deepcache import DeepCache, nonuniform, num_branches, uniform
from tests.caching import reference
from tests.caching.pipelines import controlled, extra_large, image_to_image, inpainting, text_to_image
from tests.caching.reference import overridden

SCHEDULERS = {
    "PLMS": partial(PNDMScheduler, skip_prk_steps=True, steps_offset=1),
    "PNDM": partial(PNDMScheduler, skip_prk_steps=False, steps_offset=1),
    "DDIM": partial(DDIMScheduler, steps_offset=1, clip_sample=False),
    "DPM-Solver++": partial(DPMSolverMultistepScheduler, solver_order=2, steps_offset=1),
    "Euler": partial(EulerDiscreteScheduler, steps_offset=1),
    "LMS": partial(LMSDiscreteScheduler, steps_offset=1),
}
IMAGE = torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
MASK = (torch.arange(16) < 8).float().expand(1, 1, 16, 16)
SIZE = {"height": 16, "width": 16}
INPUTS = {
    StableDiffusionImg2ImgPipeline: {"image": IMAGE},
    StableDiffusionInpaintPipeline: {"image": IMAGE, "mask_image": MASK, **SIZE},
    StableDiffusionControlNetPipeline: {"image": IMAGE},
}
PIPELINES = {
    "text-to-image": text_to_image,
    "image-to-image": lambda folder: image_to_image(text_to_image(folder)),
    "inpainting": partial(inpainting, channels=9),
    "ControlNet": controlled,
    "XL": extra_large,
}


def generate(pipe, prompt="a b", num_steps=6, **options) -> np.ndarray:
    """Images of a prompt with guidance, shape (B, 16, 16, 3)."""
    return pipe(
        prompt,
        num_inference_steps=num_steps,
        guidance_scale=7.5,
        generator=torch.Generator().manual_seed(3),
        output_type="np",
        **{**INPUTS.get(type(pipe), SIZE), **options},
    ).images


@contextmanager
def calls(unet):
    """Yield a list with one entry for each call of the U-Net: whether its middle block ran."""
    ran = []
    handles = [
        unet.register_forward_pre_hook(lambda *_: ran.append(False)),
        unet.mid_block.register_forward_hook(lambda *_: ran.append(ran.pop() or True)),
    ]
    try:
        yield ran
    finally:
        for handle in handles:
            handle.remove()


def assert_cached_equals_overridden(pipe, branch, full_steps, num_calls, *, interval=None, schedule=None, **options):
    """Generate with caching and with the full network; returns the images."""
    with DeepCache(pipe, interval, branch, schedule=schedule) as cache, calls(pipe.unet) as ran:
        ours = generate(pipe, **options)
        assert (cache.steps, cache.full_steps) == (num_calls, full_steps)
    assert len(ran) == num_calls
    assert tuple(step for step, full in enumerate(ran) if full) == full_steps
    with overridden(pipe.unet, branch, full_steps):
        assert np.array_equal(ours, generate(pipe, **options))
    return ours


# PLMS repeats a timestep. Runge-Kutta calls the U-Net four times in each of its three steps.
@pytest.mark.parametrize("branch", [0, 2, 11])
@pytest.mark.parametrize(
    ("scheduler", "num_calls"), [("PLMS", 7), ("PNDM", 15), ("DDIM", 6), ("DPM-Solver++", 6), ("Euler", 6), ("LMS", 6)]
)
def test_text_to_image(tmp_path, scheduler, num_calls, branch):
    pipe = text_to_image(tmp_path)
    pipe.scheduler = SCHEDULERS[scheduler]()
    full = generate(pipe)
    assert full.std() > 0.05, "neither black nor white"
    crowded = nonuniform(num_calls, 3, center=2, power=1.4)
    evenly = assert_cached_equals_overridden(pipe, branch, uniform(num_calls, 3), num_calls, interval=3)
    unevenly = assert_cached_equals_overridden(pipe, branch, crowded, num_calls, schedule=crowded)
    for one, another in itertools.combinations([full, evenly, unevenly], 2):
        assert not np.array_equal(one, another)


@pytest.mark.parametrize(
    ("scheduler", "strength", "num_calls"),
    [
        # PLMS has nine timesteps for eight steps, and the pipeline leaves out as many as with the others.
        *[("PLMS", 0.3, 3), ("PLMS", 0.6, 5), ("PLMS", 1.0, 9)],
        *[("DDIM", 0.3, 2), ("DDIM", 0.6, 4), ("DDIM", 1.0, 8)],
        *[("DPM-Solver++", 0.3, 2), ("DPM-Solver++", 0.6, 4), ("DPM-Solver++", 1.0, 8)],
        *[("Euler", 0.3, 2), ("Euler", 0.6, 4), ("Euler", 1.0, 8)],
    ],
)
def test_image_to_image_counts_the_steps_that_run(tmp_path, scheduler, strength, num_calls):
    pipe = image_to_image(text_to_image(tmp_path), scheduler=SCHEDULERS[scheduler]())
    interval, options = (2 if num_calls < 4 else 3), {"num_steps": 8, "strength": strength}
    full_steps = uniform(num_calls, interval)
    ours = assert_cached_equals_overridden(pipe, 2, full_steps, num_calls, interval=interval, **options)
    assert not np.array_equal(ours, generate(pipe, **options))


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("scheduler", ["PLMS", "Euler"])
@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_inpainting_counts_the_steps_that_run(tmp_path, scheduler, strength, channels):
    pipe = inpainting(tmp_path, channels)
    pipe.scheduler = SCHEDULERS[scheduler]()
    num_calls, options = int(8 * strength) + (scheduler == "PLMS"), {"num_steps": 8, "strength": strength}
    ours = assert_cached_equals_overridden(pipe, 1, uniform(num_calls, 3), num_calls, interval=3, **options)
    assert not np.array_equal(ours, generate(pipe, **options))


# The cached feature contains the middle residual of the last full step, so a shallow step adds none. The residuals of
# the kept skip tensors are those of the current step. The full network with the feature overridden does the same: what
# it adds in the skipped depth is lost at the hook.
@pytest.mark.parametrize(("branch", "guess_mode"), [(0, False), (2, False), (11, False), (2, True)])
def test_controlnet(tmp_path, branch, guess_mode):
    pipe = controlled(tmp_path)
    ours = assert_cached_equals_overridden(pipe, branch, (0, 3), 6, interval=3, guess_mode=guess_mode)
    assert not np.array_equal(ours, generate(pipe, guess_mode=guess_mode))
    with DeepCache(pipe, 3, branch):
        for changes in ({"image": 1 - IMAGE}, {"controlnet_conditioning_scale": 0.0}):
            assert not np.array_equal(generate(pipe, guess_mode=guess_mode, **changes), ours), "the control matters"


@pytest.mark.parametrize("branch", [10, 11])
def test_middle_residual_of_a_shallow_step_does_not_matter(tmp_path, branch):
    pipe = controlled(tmp_path)

    def without_middle_residual_at_shallow_steps(module, args, output):
        return output * (len(ran) % 3 == 0)  # it runs before the U-Net: at steps 0 and 3 of the interval

    with DeepCache(pipe, 3, branch), calls(pipe.unet) as ran:
        ours = generate(pipe)
        ran.clear()
        handle = pipe.controlnet.controlnet_mid_block.register_forward_hook(without_middle_residual_at_shallow_steps)
        without = generate(pipe)
        handle.remove()
    assert np.array_equal(without, ours)


@pytest.mark.parametrize("branch", [0, 3, 8])
def test_extra_large(tmp_path, monkeypatch, branch):
    feeders = (
        "up_blocks.2.resnets.1",
        "up_blocks.2.resnets.0",
        "up_blocks.1",
        "up_blocks.1.attentions.1",
        "up_blocks.1.attentions.0",
        "up_blocks.0",
        "up_blocks.0.attentions.1",
        "up_blocks.0.attentions.0",
        "mid_block",
    )
    pipe = extra_large(tmp_path)
    monkeypatch.setitem(reference.FEEDERS, "UNet2DConditionModel", feeders)
    assert num_branches(pipe.unet) == len(feeders)
    ours = assert_cached_equals_overridden(pipe, branch, (0, 3), 6, interval=3)
    assert not np.array_equal(ours, generate(pipe))
    with DeepCache(pipe, 3, branch):
        for changes in ({"prompt_2": "b"}, {"original_size": (8, 8)}):
            assert not np.array_equal(generate(pipe, **changes), ours), "the conditions matter"


@pytest.mark.parametrize("scheduler", ["PLMS", "DPM-Solver++"])
def test_two_prompts_one_after_the_other_equal_each_alone(tmp_path, scheduler):
    pipe = text_to_image(tmp_path)
    pipe.scheduler = SCHEDULERS[scheduler]()
    requests = [{"prompt": "a b", "num_steps": 4}, {"prompt": "b a", "num_steps": 7}]
    with DeepCache(pipe, 3, 2) as cache:
        together = []
        for request in requests:
            together.append(generate(pipe, **request))
            assert cache.bytes_cached == 0, "released after the last step"
    for images, request in zip(together, requests, strict=True):
        with DeepCache(pipe, 3, 2):
            assert np.array_equal(images, generate(pipe, **request))


@pytest.mark.parametrize("branch", [0, 2, 11])
def test_two_prompts_in_one_batch(tmp_path, branch):
    pipe = text_to_image(tmp_path)
    ours = assert_cached_equals_overridden(pipe, branch, (0, 3), 6, interval=3, prompt=["a b", "b a"])
    assert ours.shape == (2, 16, 16, 3)
    assert not np.array_equal(ours, generate(pipe, prompt=["a b", "b a"]))
    with DeepCache(pipe, 3, branch):
        assert not np.array_equal(generate(pipe, prompt=["a b", "a b"])[1], ours[1]), "the prompt matters"


@pytest.mark.parametrize("kind", PIPELINES)
def test_after_disabling_the_images_are_the_uncached_ones(tmp_path, kind):
    pipe = PIPELINES[kind](tmp_path)
    full = generate(pipe)
    cache = DeepCache(pipe, 3, 2).enable()
    assert not np.array_equal(generate(pipe), full)
    cache.disable()
    assert np.array_equal(generate(pipe), full)


@pytest.mark.parametrize("scheduler", ["PLMS", "DDIM", "Euler"])
def test_feature_is_released_when_image_to_image_ends(tmp_path, scheduler):
    pipe = image_to_image(text_to_image(tmp_path), scheduler=SCHEDULERS[scheduler]())
    with DeepCache(pipe, 3, 2) as cache:
        generate(pipe, num_steps=8, strength=0.6)
        assert cache.bytes_cached == 0


@pytest.mark.parametrize("scheduler", ["PLMS", "DDIM", "Euler"])
def test_image_to_image_leaves_no_feature_to_a_pipeline_with_another_scheduler(tmp_path, scheduler):
    pipe = image_to_image(text_to_image(tmp_path), scheduler=SCHEDULERS[scheduler]())
    other = image_to_image(pipe, scheduler=SCHEDULERS["DDIM"]())
    full = generate(other, num_steps=8, strength=0.6)
    with DeepCache(pipe, 3, 2):
        generate(pipe, num_steps=8, strength=0.6)
        after = generate(other, num_steps=8, strength=0.6)
    assert np.array_equal(after, full), "calls that belong to no trajectory of the pipeline run fully"
