"""generate.py: images of any Stable Diffusion checkpoint, and how often its U-Net really runs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline
from PIL import Image

from deepcache import DeepCache, DeepCacheError, uniform
from deepcache.data.pictures import list_pictures, read_picture
from deepcache.generation.checkpoints import load_pipeline
from deepcache.generation.generation import Generation
from deepcache.generation.request import Request
from deepcache.methods.method import Method
from deepcache.methods.schedule import Place
from deepcache.models.checkpoints import write_manifest
from deepcache.sampler import NAMES, Sampler
from deepcache.sampling.families import load_model
from tests.generation.checkpoints import PROMPTS, TASKS, full, save
from tests.generation.drawn import Drawn
from tests.sampling.applied import cached


@pytest.mark.parametrize(
    ("name", "options", "method"),
    [
        ("plms", (), "full"),
        ("plms", ("--cache-interval", 3, "--cache-branch", 1), "uniform-n3-b1"),
        ("ddim", ("--cache-interval", 2, "--reuse", "forecast1"), "uniform-n2-b0-forecast1"),
        ("ddim", ("--cache-interval", 3, "--reuse", "zeros"), "uniform-n3-b0-zeros"),
        (
            "dpmpp",
            ("--cache-interval", 2, "--schedule", "nonuniform", "--center", 2, "--power", 1.2, "--cache-branch", 2),
            "nonuniform-n2-c2-p1.2-b2",
        ),
        ("dpmpp_ays", ("--cache-interval", 2), "uniform-n2-b0"),
        ("euler", ("--precision", "bfloat16"), "full"),
        ("euler_a", ("--cache-interval", 2), "uniform-n2-b0"),
        ("euler_a", ("--precision", "bfloat16"), "full"),
    ],
)
def test_text_to_image_is_what_the_workflow_samples(sd, generate, name, options, method):
    ours, record = generate(sd, "--sampler", name, "--batch-size", 2, "--seed", 4, *options)
    precision = "bfloat16" if "bfloat16" in options else "float32"
    model, sampler = load_model(sd, "cpu", precision, prompts=PROMPTS), Sampler(name, 6, guidance_scale=7.5)
    with cached(model, Method.parse(method), sampler) as cache:
        for batch in ([0, 1], [2]):
            if cache is not None:
                cache.start_trajectory()
            assert np.array_equal(ours[batch], model.sample(batch, 4, sampler))
    assert (record["settings"]["method"], record["settings"]["precision"]) == (method, precision)
    calls = range(record["unet_calls"])  # without caching all are full, the one that PLMS repeats, too
    assert record["full_steps"] == list(
        calls if method == "full" else Method.parse(method).resolve(Place(6)).full_steps
    )
    assert np.ptp(ours, axis=(1, 2, 3)).min() > 0


@pytest.mark.parametrize("task", TASKS)
def test_noise_does_not_depend_on_the_precision(place, sd, task):
    strength = None if task == "text-to-image" else 0.5
    pipeline = load_pipeline(sd, task, "cpu", torch.bfloat16)
    generation = Generation(pipeline, requested(task, strength=strength, steps=4))
    with Drawn() as drawn:
        generation.sample([0, 1])
    assert drawn.dtypes and set(drawn.dtypes) == {torch.float32}


@pytest.mark.parametrize("model", ["sd", "sdxl"])
@pytest.mark.parametrize("task", TASKS)
def test_images_do_not_depend_on_batches(request, generate, passes, model, task):
    folder, options = request.getfixturevalue(model), (*TASKS[task], "--cache-interval", 3, "--sampler", "ddim")
    together, record = generate(folder, *options, "--batch-size", 3)
    assert full(passes) == record["full_steps"]
    assert len(passes) == record["unet_calls"] == (6 if task == "text-to-image" else 4)
    apart, _ = generate(folder, *options, output="apart")
    assert together.shape == (3, 16, 16, 3)
    assert np.abs(together - apart).max() <= 1, "batches change nothing but rounding"
    assert np.abs(together[0] - together[1]).max() > 1
    uncached, _ = generate(folder, *TASKS[task], "--sampler", "ddim", "--batch-size", 3, output="uncached")
    assert not np.array_equal(uncached, together)


@pytest.fixture(scope="module")
def pipelines(sd):
    """A pipeline for each task, with one image and one mask for all prompts."""
    return {task: load_pipeline(sd, task, "cpu", torch.float32) for task in TASKS}


def requested(task, **options):
    files = {"images": [Path("images/0.png")], "masks": [Path("masks/0.png")]}
    kept = {"text-to-image": (), "image-to-image": ("images",), "inpainting": ("images", "masks")}[task]
    return Request(prompts=PROMPTS, **{name: files[name] for name in kept}, **options)


@pytest.mark.parametrize("scheduler", [name for name in NAMES if name != "pndm"])
@pytest.mark.parametrize("strength", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("task", ["image-to-image", "inpainting"])
def test_schedule_counts_the_steps_that_run(place, pipelines, passes, task, strength, scheduler):
    request = requested(task, strength=strength, sampler=scheduler, steps=10)
    generation = Generation(pipelines[task], request)
    running = round(10 * strength)
    expected = running + (scheduler == "plms")  # which repeats one step
    assert (generation.unet_calls, generation.stages[0].steps) == (expected, running)
    schedule, steps = uniform(running, 2), []
    with DeepCache(pipelines[task], schedule=schedule, branch=1) as cache:
        for index in range(2):
            generation.sample([index], steps.append)
            assert cache.full_steps == schedule
    assert len(steps) == len(passes) == 2 * expected
    assert full(passes[expected:]) == list(schedule)


@pytest.mark.parametrize("task", TASKS)
def test_runge_kutta_steps_are_counted(place, pipelines, passes, task):
    strength = None if task == "text-to-image" else 1.0
    generation = Generation(pipelines[task], requested(task, strength=strength, sampler="pndm", steps=5))
    with DeepCache(pipelines[task], schedule=uniform(generation.unet_calls, 4)):
        generation.sample([0])
    assert len(passes) == generation.unet_calls == 14
    assert full(passes) == [0, 4, 8, 12]


def test_runge_kutta_steps_cannot_begin_in_the_middle(place, pipelines):
    for strength in (0.3, 0.8):
        request = requested("image-to-image", strength=strength, sampler="pndm", steps=10)
        with pytest.raises(DeepCacheError, match=r"^pndm cannot begin in the middle of a trajectory: use plms, or"):
            Generation(pipelines["image-to-image"], request)


def test_image_j_is_a_repetition_of_its_prompt(sd, generate):
    ours, record = generate(sd, "--num-images", 2, "--batch-size", 3)
    Path("prompts.txt").write_text("\n".join(prompt for prompt in PROMPTS for _ in range(2)), encoding="utf-8")
    twice, _ = generate(sd, "--batch-size", 3, output="twice")
    assert np.array_equal(ours, twice) and not np.array_equal(ours[0], ours[1])
    assert (record["images"], record["prompts"]) == (6, PROMPTS)


def test_one_image_stands_for_all_prompts(sd, generate):
    (one, _), (several, _) = (generate(sd, "--images", name, output=name[-5:]) for name in ("images/0.png", "images"))
    assert np.array_equal(one[0], several[0]) and not np.array_equal(one[1], several[1])


def test_only_the_white_part_is_repainted(sd, generate):
    for name, value in (("white.png", 255), ("black.png", 0)):
        Image.new("L", (32, 24), value).save(name)
    Path("prompts.txt").write_text("a seven\n", encoding="utf-8")
    options = ("--images", "images/0.png", "--sampler", "ddim", "--masks")
    before = [generate(sd, *options, name, output=f"before-{name}")[0] for name in ("white.png", "black.png")]
    Path("prompts.txt").write_text("something else\n", encoding="utf-8")
    after = [generate(sd, *options, name, output=f"after-{name}")[0] for name in ("white.png", "black.png")]
    assert not np.array_equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


def test_checkpoint_for_inpainting_sees_the_mask(generate, refused, tmp_path):
    folder = save(tmp_path / "checkpoint", StableDiffusionInpaintPipeline, in_channels=9)
    for task in ("text-to-image", "image-to-image"):
        assert refused(folder, *TASKS[task]).endswith(f"its U-Net takes 9 channels, so it is not made for {task}")
    images, _ = generate(folder, *TASKS["inpainting"], "--cache-interval", 2, "--strength", "1.0")
    assert images.shape == (3, 16, 16, 3)


def test_strength_size_and_negative_prompt_reach_the_pipeline(sd, generate):
    options = ("--images", "images", "--sampler", "ddim")
    default, record = generate(sd, *options)
    assert record["settings"]["strength"] == 0.8
    for name, changes in {"strength": ("--strength", 0.5), "negative": ("--negative-prompt", "blurred")}.items():
        assert not np.array_equal(generate(sd, *options, *changes, output=name)[0], default)
    for task, files in TASKS.items():
        wide, record = generate(sd, *files, "--height", 16, "--width", 24, "--cache-interval", 2, output=f"wide-{task}")
        assert wide.shape == (3, 16, 24, 3)
        assert (record["settings"]["height"], record["settings"]["width"]) == (16, 24)


def test_a_manifest_stands_for_its_folder(sd, generate):
    from_folder, record = generate(sd)
    write_manifest("manifest.json", "sd", sd, "local", {})
    from_manifest, other = generate("manifest.json", output="manifest")
    assert np.array_equal(from_folder, from_manifest)
    assert record["settings_hash"] == other["settings_hash"]


def test_pictures_are_upright_and_sorted(tmp_path):
    picture, tags = Image.new("RGB", (3, 2)), Image.Exif()
    picture.putpixel((0, 0), (255, 0, 0))
    tags[0x0112] = 6  # the right-hand side is up
    for name in ("b/1.png", "a.png", "b/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture.save(tmp_path / name, exif=tags)
    assert [path.relative_to(tmp_path).as_posix() for path in list_pictures(tmp_path)] == [
        "a.png",
        "b/0.png",
        "b/1.png",
    ]
    upright = read_picture(tmp_path / "a.png")
    assert upright.size == (2, 3) and upright.getpixel((1, 0)) == (255, 0, 0)
