"""generate.py with checkpoints that make videos."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffPipeline, DDIMScheduler, MotionAdapter, StableVideoDiffusionPipeline
from diffusers.models import UNetMotionModel, UNetSpatioTemporalConditionModel
from PIL import Image

from deepcache import DeepCache
from deepcache.data.datasets import open_images
from deepcache.data.picture_prompts import PicturePrompts
from deepcache.data.pictures import read_picture
from deepcache.generation import video
from deepcache.generation.kinds import STABLE_VIDEO
from deepcache.generation.video import SIZE
from deepcache.methods.method import Method
from deepcache.models.checkpoints import write_manifest
from deepcache.models.random_weights import write_random
from deepcache.sampler import Sampler
from deepcache.sampling import image_to_video
from deepcache.sampling.families import load_model
from deepcache.sampling.image_to_video import fitted
from deepcache.sampling.noise import image_generator
from tests.generation.checkpoints import PROMPTS, content, flagging_everything, save
from tests.generation.drawn import Drawn
from tests.sampling.applied import cached

SMALL = ("--height", 16, "--width", 24)
FRAMES = 3


@pytest.fixture
def animated(sd, animatediff):
    """A checkpoint and options for each way in which AnimateDiff is given; the pipeline made by hand."""
    whole, adapter = animatediff

    def pipeline(way):
        if way == "whole":
            return AnimateDiffPipeline.from_pretrained(whole)
        pipe = AnimateDiffPipeline.from_pretrained(sd, motion_adapter=MotionAdapter.from_pretrained(adapter))
        changes = {"beta_schedule": "linear", "clip_sample": False, "timestep_spacing": "linspace", "steps_offset": 1}
        pipe.scheduler = DDIMScheduler.from_pretrained(sd, subfolder="scheduler", **changes)
        return pipe

    return {"whole": (whole,), "motion adapter": (sd, "--motion-adapter", adapter)}, pipeline


@pytest.mark.parametrize("interval", [1, 2])
@pytest.mark.parametrize("way", ["whole", "motion adapter"])
def test_animatediff_is_what_its_pipeline_makes(animated, generate, capsys, way, interval):
    given, pipeline = animated
    options = ("--frames", FRAMES, *SMALL, "--cache-interval", interval, "--seed", 4, "--negative-prompt", "blurred")
    capsys.readouterr()
    found, record = generate(*given[way], *options)
    said = capsys.readouterr().err
    assert "float32" not in said and said.splitlines()[-1].startswith("3 videos in ")
    pipe = pipeline(way)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    for index in range(len(PROMPTS)):
        with DeepCache(pipe, interval=interval):
            wanted = pipe(
                PROMPTS[index],
                negative_prompt="blurred",
                num_frames=FRAMES,
                height=16,
                width=24,
                num_inference_steps=6,
                guidance_scale=7.5,
                generator=image_generator(4, index),
                output_type="np",
            ).frames[0]
        assert np.array_equal(found[index * FRAMES :][:FRAMES], np.round(wanted * 255).astype(int))
    assert record["full_steps"] == list(range(0, 6, interval)) and record["prompts"] == PROMPTS
    settings = record["settings"]
    assert (settings["task"], settings["sampler"], settings["frames"]) == ("text-to-video", "ddim", FRAMES)
    assert ("motion_adapter" in settings) == (way != "whole")
    with Image.open("out/00000.png") as shown:
        assert (shown.format, shown.n_frames, shown.info["duration"]) == ("PNG", FRAMES, 125)


def by_hand(pipe, picture, index, steps=6, **options):
    picture, generator = fitted(np.asarray(read_picture(picture)), 16, 24), image_generator(4, index)
    factor = pipe.vae_scale_factor
    latents = torch.randn(1, options.get("num_frames", 3), 4, 16 // factor, 24 // factor, generator=generator)
    noise = {"latents": latents, "generator": generator, "num_inference_steps": steps}
    frames = pipe(picture, height=16, width=24, **noise, **options, decode_chunk_size=8, output_type="np").frames
    return np.round(frames[0] * 255).astype(int)


@pytest.mark.parametrize(
    ("interval", "options", "call"),
    [
        (1, (), {}),
        (
            2,
            ("--fps", 10, "--guidance-scale", 2, "--frames", 10),
            {"fps": 10, "max_guidance_scale": 2.0, "num_frames": 10},
        ),
    ],
)
def test_stable_video_is_what_its_pipeline_makes(stable_video, generate, interval, options, call):
    size = ("--cache-interval", interval, *SMALL, "--seed", 4)
    found, record = generate(stable_video, "--images", "images", *size, *options, prompted=False)
    pipe, count = StableVideoDiffusionPipeline.from_pretrained(stable_video), call.get("num_frames", 3)
    for index in range(3):
        with DeepCache(pipe, interval=interval):
            wanted = by_hand(pipe, f"images/{index}.png", index, **call)
        assert np.array_equal(found[index * count :][:count], wanted)
    settings = record["settings"]
    assert (settings["task"], settings["frames"], settings["fps"]) == ("image-to-video", count, call.get("fps", 7))
    assert len(settings["images"]) == 3 and record["full_steps"] == list(range(0, 6, interval))
    with Image.open("out/00000.png") as shown:
        assert (shown.n_frames, round(shown.info["duration"])) == (count, round(1000 / call.get("fps", 7)))


def test_stable_video_is_what_the_workflow_samples(generate, tmp_path):
    write_random("svd-tiny", tmp_path / "svd", 0)  # of its own size, 64x128
    options = ("--images", "images", "--height", 64, "--width", 128, "--steps", 2, "--seed", 4, "--cache-interval", 2)
    found, _ = generate(tmp_path / "svd", *options, prompted=False)
    pictures = PicturePrompts(open_images("folder", Path("images")))
    model, sampler = load_model(tmp_path / "svd", "cpu", "float32", pictures), Sampler.parse("euler-2-cfg3")
    with cached(model, Method.parse("uniform-n2-b0"), sampler) as cache:
        for index in range(3):
            cache.start_trajectory()
            (strip,) = model.sample([index], 4, sampler)
            assert np.array_equal(np.concatenate(found[3 * index :][:3]), strip)


def test_a_video_of_one_frame_is_not_guided(stable_video, generate):
    options = ("--images", "images/0.png", *SMALL, "--steps", 2, "--frames", 1)
    guided, _ = generate(stable_video, *options, prompted=False)
    plain, _ = generate(stable_video, *options, "--guidance-scale", 1, output="plain", prompted=False)
    assert guided.shape == (1, 16, 24, 3) and np.array_equal(guided, plain)


def test_what_is_not_given_is_as_its_pipeline_has_it(stable_video, generate, monkeypatch):
    monkeypatch.setattr(video, "SIZE", (24, 16))  # the usual one takes long
    found, record = generate(stable_video, "--images", "images/0.png", "--steps", 2, prompted=False)
    assert found.shape == (3, 24, 16, 3) and record["settings"]["height"] == 24
    theirs = inspect.signature(StableVideoDiffusionPipeline.__call__).parameters
    assert (theirs["height"].default, theirs["width"].default) == SIZE
    usual = STABLE_VIDEO.usual
    for name, call in {"steps": "num_inference_steps", "guidance_scale": "max_guidance_scale", "fps": "fps"}.items():
        assert usual[name] == theirs[call].default


def test_a_manifest_stands_for_its_folder(stable_video, generate, place):
    write_manifest("manifest.json", "svd", stable_video, "local", {})
    options = ("--images", "images/0.png", *SMALL, "--steps", 2)
    from_folder, record = generate(stable_video, *options, prompted=False)
    from_manifest, other = generate("manifest.json", *options, output="manifest", prompted=False)
    assert np.array_equal(from_folder, from_manifest) and record["settings"] == other["settings"]


@pytest.mark.parametrize("model", ["animatediff", "stable video"])
def test_videos_do_not_depend_on_batches(animatediff, stable_video, generate, model, monkeypatch):
    monkeypatch.setattr(image_to_video, "DECODED", 2)  # of three frames: the third has no neighbour of another video
    options = (*SMALL, "--cache-interval", 2, "--num-images", 2)
    if model == "animatediff":
        given = {"checkpoint": animatediff[0], "prompted": True}
        options += ("--frames", 3)
    else:
        given, options = {"checkpoint": stable_video, "prompted": False}, (*options, "--images", "images")
    together, record = generate(given.pop("checkpoint"), *options, "--batch-size", 4, **given)
    folder = animatediff[0] if model == "animatediff" else stable_video
    apart, _ = generate(folder, *options, output="apart", **given)
    assert record["images"] == 6 and len(together) == 18
    assert np.abs(together - apart).max() <= 1, "batches change nothing but rounding"
    assert np.abs(together[:3] - together[3:6]).max() > 1, "two of the same prompt or picture"


@pytest.mark.parametrize("kind", ["animatediff", "stable video"])
def test_noise_does_not_depend_on_the_precision(animatediff, stable_video, generate, kind):
    options = ("--frames", 2, *SMALL, "--steps", 2, "--precision", "bfloat16")
    with Drawn() as drawn:
        if kind == "animatediff":
            generate(animatediff[0], *options)
        else:
            generate(stable_video, *options, "--images", "images", prompted=False)
    each = 1 if kind == "animatediff" else 2  # the picture has noise of its own
    assert drawn.dtypes == [torch.float32] * 3 * each


@pytest.mark.parametrize(
    ("kind", "unet"), [("animatediff", UNetMotionModel), ("stable video", UNetSpatioTemporalConditionModel)]
)
def test_only_missing_videos_are_made_with_the_same_bytes(
    animatediff, stable_video, generate, refused, monkeypatch, kind, unet
):
    calls, forward = [], unet.forward

    def counted(*args, **kwargs):
        calls.append(type(args[0].mid_block).__name__ == "CachedFeature")
        return forward(*args, **kwargs)

    monkeypatch.setattr(unet, "forward", counted)
    options = (animatediff[0], "--frames", 2, *SMALL)
    if kind == "stable video":
        options = (stable_video, "--frames", 2, *SMALL, "--images", "images")
    prompted = kind == "animatediff"
    generate(*options, "--cache-interval", 3, prompted=prompted)
    assert calls == [False, True, True] * 6
    whole = content("out")
    Path("out/00001.png").unlink()
    calls.clear()
    generate(*options, "--cache-interval", 3, prompted=prompted)
    assert content("out") == whole and len(calls) == 6
    line = refused(*options, "--cache-interval", 3, "--frames", 3, prompted=prompted)
    assert line == "out holds videos of other settings (frames was 2, not 3): give another --output"


def test_motion_modules_have_a_variant_or_what_there_is(sd, animatediff, generate, refused, tmp_path):
    options = ("--frames", 2, *SMALL, "--variant", "fp16", "--precision", "float32")
    folder = save(tmp_path / "sd", safety_checker=flagging_everything())
    AnimateDiffPipeline.from_pretrained(
        folder, motion_adapter=MotionAdapter.from_pretrained(animatediff[1]), dtype=torch.float16
    ).vae.save_pretrained(folder / "vae", variant="fp16")
    _, record = generate(folder, "--motion-adapter", animatediff[1], *options)
    assert list(record["settings"]["motion_adapter"]) == ["diffusion_pytorch_model.safetensors"]
    half = tmp_path / "half"
    MotionAdapter.from_pretrained(animatediff[1], dtype=torch.float16).save_pretrained(half, variant="fp16")
    _, record = generate(folder, "--motion-adapter", half, *options, output="of-both")
    assert list(record["settings"]["motion_adapter"]) == ["diffusion_pytorch_model.fp16.safetensors"]
