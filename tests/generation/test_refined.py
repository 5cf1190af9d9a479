"""generate.py with SDXL's base and refiner."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from deepcache import DeepCache
from deepcache.generation.request import Request
from deepcache.generation.source import Source
from deepcache.sampling.noise import image_generator
from tests.generation.checkpoints import PROMPTS, content, full

NEGATIVE = "blurred"


def by_hand(base, refiner, interval, handover, indices):
    """The images as diffusers' documentation makes them, with a DeepCache for each of the two."""
    first = StableDiffusionXLPipeline.from_pretrained(base)
    second = StableDiffusionXLImg2ImgPipeline.from_pretrained(refiner)
    for pipe in (first, second):
        pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    call = {
        "prompt": [PROMPTS[index] for index in indices],
        "negative_prompt": [NEGATIVE] * len(indices),
        "num_inference_steps": 8,
        "guidance_scale": 7.5,
        "generator": [image_generator(4, index) for index in indices],
    }
    with DeepCache(first, interval=interval), DeepCache(second, interval=interval):
        latents = first(**call, height=16, width=24, denoising_end=handover, output_type="latent").images
        images = second(**call, image=latents, denoising_start=handover, output_type="np").images
    return np.round(images * 255).astype(int)


@pytest.mark.parametrize(
    ("interval", "handover", "of_base", "of_refiner"),
    [(1, 0.8, (6, [*range(6)]), (2, [0, 1])), (2, 0.4, (3, [0, 2]), (5, [0, 2, 4]))],
)
def test_images_are_those_of_both_pipelines(
    sdxl, refiner, generate, passes, capsys, interval, handover, of_base, of_refiner
):
    options = ("--steps", 8, "--seed", 4, "--negative-prompt", NEGATIVE, "--width", 24, "--batch-size", 2)
    given = () if handover == 0.8 else ("--handover", handover)
    caching = ("--cache-interval", interval)
    found, record = generate(sdxl, "--refiner", refiner, *options, *given, *caching)
    assert f"{len(of_base[1]) + len(of_refiner[1])} of 8 steps full (" in capsys.readouterr().err
    assert (record["unet_calls"], record["full_steps"]) == of_base
    assert record["refiner"] == {"unet_calls": of_refiner[0], "full_steps": of_refiner[1]}
    assert full(passes[:8]) == [*of_base[1], *(of_base[0] + step for step in of_refiner[1])]
    for batch in ([0, 1], [2]):
        assert np.array_equal(found[batch], by_hand(sdxl, refiner, interval, handover, batch))
    settings = record["settings"]
    assert (settings["sampler"], settings["handover"]) == ("euler", handover)
    assert set(settings["checkpoint"]) != set(settings["refiner"]) != set()


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp", "dpmpp_ays", "unipc", "euler_a", "lms"])
def test_every_sampler_that_can_begin_in_the_middle(sdxl, refiner, generate, passes, sampler):
    options = ("--refiner", refiner, "--sampler", sampler, "--handover", 0.5, "--cache-interval", 2)
    images, record = generate(sdxl, *options)
    assert len(passes) == 3 * (record["unet_calls"] + record["refiner"]["unet_calls"]) == 18
    on = record["unet_calls"]  # three, with DPM-Solver++'s timesteps four
    refined = [on + step for step in record["refiner"]["full_steps"]]
    assert full(passes[:6]) == [*record["full_steps"], *refined] and refined[0] == on
    assert np.ptp(images, axis=(1, 2, 3)).min() > 0


def test_what_is_missing_is_made_with_the_same_bytes(sdxl, refiner, generate, passes, refused):
    options = ("--refiner", refiner, "--cache-interval", 2, "--handover", 0.5, "--sampler", "euler_a")
    generate(sdxl, *options)
    whole = content("out")
    Path("out/00001.png").unlink()
    passes.clear()
    generate(sdxl, *options)
    assert content("out") == whole and len(passes) == 6
    assert "(handover was 0.5, not 0.6)" in refused(sdxl, *options, "--handover", 0.6)
    assert "handover was 0.5, not null" in (line := refused(sdxl, *options[2:4], *options[6:])) and "refiner" in line


def test_a_variant_is_of_both(sdxl, refiner, generate, refused, tmp_path):
    folders = {}
    for name, kind, folder in (
        ("base", StableDiffusionXLPipeline, sdxl),
        ("refiner", StableDiffusionXLImg2ImgPipeline, refiner),
    ):
        pipe = kind.from_pretrained(folder, dtype=torch.float16)
        pipe.save_pretrained(folders.setdefault(name, tmp_path / name), variant="fp16")
    both = ("--refiner", folders["refiner"], "--variant", "fp16", "--precision", "float32")
    _, record = generate(folders["base"], *both)
    for part in ("checkpoint", "refiner"):
        assert record["settings"][part] and all(".fp16." in name for name in record["settings"][part])
    line = refused(folders["base"], "--refiner", refiner, *both[2:], output="other")
    assert line == f"--variant fp16: {refiner} has no weights of that variant: leave it out"
    assert not Path("other").exists()


def test_what_base_and_refiner_have_in_common_is_loaded_once(sdxl, refiner, place, tmp_path):
    def opened(second):
        source = Source(sdxl, refiner=second)
        request = Request(PROMPTS, sampler="euler", steps=4, handover=0.5)
        first, last = (stage.pipeline for stage in source.open(request, torch.device("cpu"), "float32")[0].stages)
        return {part: getattr(first, part) is getattr(last, part) for part in ("vae", "text_encoder_2", "unet")}

    assert opened(refiner) == {"vae": True, "text_encoder_2": True, "unet": False}
    other = tmp_path / "other"
    shutil.copytree(refiner, other)
    config = other / "vae/config.json"
    text = config.read_text(encoding="utf-8").replace('"scaling_factor": 0.18215', '"scaling_factor": 0.2')
    config.write_text(text, encoding="utf-8")
    weights = other / "text_encoder_2/model.safetensors"
    save_file({name: 2 * tensor for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    assert not any(opened(other).values()), "the same weights with another config, the same config with other weights"
