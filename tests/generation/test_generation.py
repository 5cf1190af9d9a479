"""generate.py: images of any Stable Diffusion checkpoint, and how often its U-Net really runs."""

import functools
import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    EulerDiscreteScheduler,
    PNDMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from deepcache import DeepCache, DeepCacheError, uniform
from deepcache.data.pictures import list_pictures, read_picture
from deepcache.generation.checkpoints import load_pipeline
from deepcache.generation.generation import Generation
from deepcache.generation.request import Request
from deepcache.generation.schedulers import SCHEDULER_NAMES
from deepcache.models.checkpoints import write_manifest
from deepcache.models.clip_vocabulary import clip_tokenizer
from deepcache.models.paper_pipelines import SD_SCHEDULER
from deepcache.results.runs import Method, Sampler
from deepcache.sampling.caching import cached
from deepcache.sampling.families import load_model
from tests.conftest import make_unet2d_condition

SCRIPT = Path(__file__).resolve().parents[2] / "workflow/scripts/generate.py"
PROMPTS = ["a seven", "a handwritten two", "three"]
TASKS = {
    "text-to-image": (),
    "image-to-image": ("--images", "images"),
    "inpainting": ("--images", "images", "--masks", "masks"),
}
FIRST_STAGE = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
}
UNET = {  # six branches
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
TEXT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def save(folder, pipeline_class=StableDiffusionPipeline, vae=None, **changes):
    """A Stable Diffusion checkpoint in small, for images of 16x16 pixels."""
    torch.manual_seed(0)
    pipeline = pipeline_class(
        vae=vae or AutoencoderKL(**FIRST_STAGE),
        text_encoder=CLIPTextModel(CLIPTextConfig(vocab_size=600, bos_token_id=598, eos_token_id=599, **TEXT)),
        tokenizer=clip_tokenizer(600),
        unet=make_unet2d_condition(**UNET, **changes),
        scheduler=PNDMScheduler(**SD_SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sd(tmp_path_factory):
    return save(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="module")
def sdxl(tmp_path_factory):
    torch.manual_seed(0)
    text = CLIPTextConfig(vocab_size=600, bos_token_id=598, eos_token_id=599, projection_dim=16, **TEXT)
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(**FIRST_STAGE),
        text_encoder=CLIPTextModel(text),
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer=clip_tokenizer(600),
        tokenizer_2=clip_tokenizer(600),
        unet=make_unet2d_condition(
            **UNET,
            cross_attention_dim=32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16,
        ),
        scheduler=EulerDiscreteScheduler(steps_offset=1),
        add_watermarker=False,
    )
    folder = tmp_path_factory.mktemp("sdxl")
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with prompts, an image for each and masks whose lower half is white."""
    monkeypatch.chdir(tmp_path)
    Path("prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    numbers = np.random.default_rng(0)
    for folder in ("images", "masks"):
        Path(folder).mkdir()
    for index in range(len(PROMPTS)):
        Image.fromarray(numbers.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(f"images/{index}.png")
        mask = np.zeros((24, 32), np.uint8)
        mask[12:] = 255
        Image.fromarray(mask).save(f"masks/{index}.png")
    return tmp_path


@pytest.fixture
def generate(place, monkeypatch):
    """Run generate.py; returns the images as integers, shape (B, H, W, 3), and the record."""

    def generate(checkpoint, *options, output="out"):
        fixed = ["--checkpoint", checkpoint, "--prompts", "prompts.txt", "--device", "cpu", "--output", output]
        steps = [] if "--steps" in options else ["--steps", "6"]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, (*fixed, *steps, *options))])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        images = [np.asarray(Image.open(path)).astype(int) for path in sorted(Path(output).glob("[0-9]*.png"))]
        return np.stack(images), json.loads(Path(output, "generation.json").read_text())

    return generate


@pytest.fixture
def refused(generate, capsys):
    """Run generate.py, which must fail; returns its one line."""

    def refused(*arguments, **options):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            generate(*arguments, **options)
        assert end.value.code == 1
        lines = [line for line in capsys.readouterr().err.splitlines() if "%|" not in line]
        assert len(lines) == 1 and lines[0].startswith("error: ")
        return lines[0].removeprefix("error: ")

    return refused


@pytest.fixture
def passes(monkeypatch):
    """Every call of a U-Net: True where it ran fully, False where shallowly."""
    found, forward = [], UNet2DConditionModel.forward

    @functools.wraps(forward)
    def counted(unet, *args, **kwargs):
        found.append(type(unet.mid_block).__name__ != "CachedFeature")
        return forward(unet, *args, **kwargs)

    monkeypatch.setattr(UNet2DConditionModel, "forward", counted)
    return found


def full(passes):
    """Indices of the full ones."""
    return [index for index, one in enumerate(passes) if one]


def content(folder):
    """Bytes of each image."""
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.png")}


# What is made


@pytest.mark.parametrize(
    ("scheduler", "name", "options", "method"),
    [
        ("plms", "plms", (), "full"),
        ("plms", "plms", ("--cache-interval", 3, "--cache-branch", 1), "uniform-n3-b1"),
        ("ddim", "ddim", ("--cache-interval", 2, "--reuse", "forecast1"), "uniform-n2-b0-forecast1"),
        ("ddim", "ddim", ("--cache-interval", 3, "--reuse", "zeros"), "uniform-n3-b0-zeros"),
        (
            "dpm++",
            "dpmpp",
            ("--cache-interval", 2, "--schedule", "nonuniform", "--center", 2, "--power", 1.2, "--cache-branch", 2),
            "nonuniform-n2-c2-p1.2-b2",
        ),
        ("euler", "euler", ("--precision", "bfloat16"), "full"),
    ],
)
def test_text_to_image_is_what_the_workflow_samples(sd, generate, scheduler, name, options, method):
    ours, record = generate(sd, "--scheduler", scheduler, "--batch-size", 2, "--seed", 4, *options)
    precision = "bfloat16" if "bfloat16" in options else "float32"
    model, sampler = load_model(sd, "cpu", precision, prompts=PROMPTS), Sampler(name, 6, guidance_scale=7.5)
    with cached(model.unet, Method.parse(method), sampler) as cache:
        for batch in ([0, 1], [2]):
            if cache is not None:
                cache.start_trajectory()
            assert np.array_equal(ours[batch], model.sample(batch, 4, sampler))
    assert (record["settings"]["method"], record["settings"]["precision"]) == (method, precision)
    assert record["full_steps"] == list(Method.parse(method).full_steps(6))
    assert np.ptp(ours, axis=(1, 2, 3)).min() > 0


@pytest.mark.parametrize("model", ["sd", "sdxl"])
@pytest.mark.parametrize("task", TASKS)
def test_images_do_not_depend_on_batches(request, generate, passes, model, task):
    folder, options = request.getfixturevalue(model), (*TASKS[task], "--cache-interval", 3, "--scheduler", "ddim")
    together, record = generate(folder, *options, "--batch-size", 3)
    assert full(passes) == record["full_steps"]
    assert len(passes) == record["unet_calls"] == (6 if task == "text-to-image" else 4)
    apart, _ = generate(folder, *options, output="apart")
    assert together.shape == (3, 16, 16, 3)
    assert np.abs(together - apart).max() <= 1, "batches change nothing but rounding"
    assert np.abs(together[0] - together[1]).max() > 1
    uncached, _ = generate(folder, *TASKS[task], "--scheduler", "ddim", "--batch-size", 3, output="uncached")
    assert not np.array_equal(uncached, together)


@pytest.fixture(scope="module")
def pipelines(sd):
    """A pipeline for each task, with one image and one mask for all prompts."""
    return {task: load_pipeline(sd, task, "cpu", torch.float32) for task in TASKS}


def requested(task, **options):
    files = {"images": [Path("images/0.png")], "masks": [Path("masks/0.png")]}
    kept = {"text-to-image": (), "image-to-image": ("images",), "inpainting": ("images", "masks")}[task]
    return Request(prompts=PROMPTS, **{name: files[name] for name in kept}, **options)


@pytest.mark.parametrize("scheduler", [name for name in SCHEDULER_NAMES if name != "pndm"])
@pytest.mark.parametrize("strength", [0.3, 0.6, 1.0])
@pytest.mark.parametrize("task", ["image-to-image", "inpainting"])
def test_schedule_counts_the_steps_that_run(place, pipelines, passes, task, strength, scheduler):
    request = requested(task, strength=strength, scheduler=scheduler, steps=10)
    generation = Generation(pipelines[task], request)
    running = round(10 * strength)
    expected = running + (scheduler == "plms")  # which repeats one step
    assert (generation.unet_calls, generation.steps) == (expected, running)
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
    generation = Generation(pipelines[task], requested(task, strength=strength, scheduler="pndm", steps=5))
    with DeepCache(pipelines[task], schedule=uniform(generation.unet_calls, 4)):
        generation.sample([0])
    assert len(passes) == generation.unet_calls == 14
    assert full(passes) == [0, 4, 8, 12]


def test_runge_kutta_steps_cannot_begin_in_the_middle(place, pipelines):
    for strength in (0.3, 0.8):
        request = requested("image-to-image", strength=strength, scheduler="pndm", steps=10)
        with pytest.raises(DeepCacheError, match=r"^pndm cannot begin in the middle of a trajectory: use plms, or"):
            Generation(pipelines["image-to-image"], request)


def test_image_j_is_a_repetition_of_its_prompt(sd, generate):
    ours, record = generate(sd, "--num-images", 2, "--batch-size", 3)
    Path("prompts.txt").write_text("\n".join(prompt for prompt in PROMPTS for _ in range(2)))
    twice, _ = generate(sd, "--batch-size", 3, output="twice")
    assert np.array_equal(ours, twice) and not np.array_equal(ours[0], ours[1])
    assert (record["images"], record["prompts"]) == (6, PROMPTS)


def test_one_image_stands_for_all_prompts(sd, generate):
    (one, _), (several, _) = (generate(sd, "--images", name, output=name[-5:]) for name in ("images/0.png", "images"))
    assert np.array_equal(one[0], several[0]) and not np.array_equal(one[1], several[1])


def test_only_the_white_part_is_repainted(sd, generate):
    for name, value in (("white.png", 255), ("black.png", 0)):
        Image.new("L", (32, 24), value).save(name)
    Path("prompts.txt").write_text("a seven\n")
    options = ("--images", "images/0.png", "--scheduler", "ddim", "--masks")
    before = [generate(sd, *options, name, output=f"before-{name}")[0] for name in ("white.png", "black.png")]
    Path("prompts.txt").write_text("something else\n")
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
    options = ("--images", "images", "--scheduler", "ddim")
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


# What is written


def test_record_and_messages(sd, generate, capsys):
    _, record = generate(sd, "--cache-interval", 3, "--batch-size", 2)
    assert {"settings", "settings_hash", "prompts", "unet_calls", "full_steps", "images", "runs"} == set(record)
    assert (record["unet_calls"], record["full_steps"]) == (7, [0, 3])
    (run,) = record["runs"]
    assert run["images"] == 3 and run["images_per_second"] == pytest.approx(3 / run["seconds"], rel=0.01)
    assert {"versions", "device", "commit"} < set(run) and run["threads"] == 1
    messages = capsys.readouterr().err
    assert messages.splitlines()[-1].startswith("3 images in ")
    assert messages.endswith(" images/s, 2 of 7 steps full (29%)\n")
    assert "14/14" in messages, "steps of two batches"
    assert "pipeline components" not in messages and "Loading weights" not in messages


def test_only_missing_images_are_made_with_the_same_bytes(sd, generate, passes, capsys):
    options = ("--cache-interval", 3, "--num-images", 2, "--batch-size", 2)
    generate(sd, *options)
    whole, times = content("out"), {path: path.stat().st_mtime_ns for path in Path("out").glob("*.png")}
    Path("out/00001.png").unlink()
    passes.clear()
    capsys.readouterr()
    _, record = generate(sd, *options)
    assert len(passes) == 7, "one batch"
    assert "out: 5 of 6 images are there already\n" in capsys.readouterr().err
    assert content("out") == whole
    kept = [path for path in times if path.name != "00001.png"]
    assert all(path.stat().st_mtime_ns == times[path] for path in kept)
    assert [run["images"] for run in record["runs"]] == [6, 2]
    passes.clear()
    assert generate(sd, *options)[1] == record and not passes, "nothing is missing"


@pytest.mark.parametrize("where", ["in the U-Net", "in writing"])
def test_interrupted_run_leaves_whole_images_and_is_completed(sd, generate, monkeypatch, passes, capsys, where):
    whole, _ = generate(sd, "--cache-interval", 3, output="whole")
    passes.clear()
    with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
        if where == "in the U-Net":
            forward = UNet2DConditionModel.forward

            @functools.wraps(forward)
            def stop(*args, **kwargs):
                assert len(passes) < 7 + 3, "interrupted"
                return forward(*args, **kwargs)

            patch.setattr(UNet2DConditionModel, "forward", stop)
        else:
            write = Image.Image.save

            def stop(image, path):
                write(image, path)
                if path.name.startswith(".00001."):
                    path.write_bytes(path.read_bytes()[:50])
                    raise OSError("interrupted")

            patch.setattr(Image.Image, "save", stop)
        generate(sd, "--cache-interval", 3)
    assert end.value.code == 1 and "interrupted" in capsys.readouterr().err
    assert sorted(path.name for path in Path("out").iterdir()) == ["00000.png", "generation.json"]
    assert content("out")["00000.png"] == content("whole")["00000.png"]
    assert np.array_equal(generate(sd, "--cache-interval", 3)[0], whole)
    assert content("out") == content("whole")


def test_folder_with_other_settings_is_refused(sd, sdxl, generate, refused):
    generate(sd, "--scheduler", "ddim")
    before = content("out")
    assert refused(sd, "--scheduler", "ddim", "--steps", 4, "--seed", 1) == (
        "out holds images of other settings (seed was 0, not 1, steps was 6, not 4): give another --output"
    )
    assert '(method was "full", not "uniform-n2-b0")' in refused(sd, "--scheduler", "ddim", "--cache-interval", 2)
    assert "(checkpoint)" in refused(sdxl, "--scheduler", "ddim")
    Path("prompts.txt").write_text("another\n")
    assert "(prompts)" in refused(sd, "--scheduler", "ddim")
    assert content("out") == before


def test_folder_with_something_else_is_refused(sd, generate, refused):
    Path("out").mkdir()
    Path("out/.00000.1.partial.png").write_bytes(b"")  # what a killed run leaves
    generate(sd, "--steps", 2)
    Path("other").mkdir()
    Path("other/notes.txt").write_text("mine")
    assert refused(sd, output="other") == "other exists and holds no generation.json: give another --output"
    Path("out/generation.json").write_text("{")
    assert refused(sd, "--steps", 2).startswith("out/generation.json: cannot be read (")


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--scheduler", "heun"), "scheduler must be one of ddim, pndm, plms, dpm++, euler, lms, not 'heun'"),
        (("--schedule", "eq7"), "--schedule must be uniform or nonuniform, not 'eq7'"),
        (("--reuse", "forecast0"), "--reuse must be one of hold, zeros, forecast1, "),
        (("--schedule", "nonuniform", "--power", 1.2), "--center is needed by --schedule nonuniform"),
        (("--power", 1.2), "--power needs --schedule nonuniform"),
        (("--cache-interval", 8), "interval must be between 1 and the number of steps (6), not 8"),
        (
            ("--cache-interval", 6, "--images", "images"),
            "interval must be between 1 and the number of steps (4), not 6",
        ),
        (("--cache-interval", 2, "--cache-branch", 6), "branch must be an integer from 0 to 5 for this UNet2DCond"),
        (("--height", 20), "height must be divisible by 8 for this checkpoint, not 20"),
        (("--width", 4), "width must be divisible by 8 for this checkpoint, not 4"),
        (("--steps", 2000), "steps must be between 1 and 1000 (timesteps of training), not 2000"),
        (("--steps", 3, "--scheduler", "pndm"), "pndm needs at least 4 steps: use plms, or more"),
        (("--seed", -1), "seed must be at least 0, not -1"),
        (("--strength", 0.5), "strength says how much an image is changed: give images, or leave it out"),
        (("--images", "images", "--strength", 0), "strength must be above 0 and at most 1, not 0.0"),
        (("--images", "images", "--strength", 1.5), "strength must be above 0 and at most 1, not 1.5"),
        (("--images", "images", "--strength", 0.1), "strength 0.1 leaves none of 6 steps: raise either"),
        (("--masks", "masks"), "masks need images, which they belong to"),
        (("--images", "nowhere"), "nowhere: no such file or folder"),
        (("--negative-prompt", "blurred", "--guidance-scale", 1), "a negative prompt acts through guidance"),
    ],
)
def test_wrong_options_are_refused_in_one_line(sd, refused, options, message):
    assert refused(sd, *options).startswith(message)
    assert not Path("out").exists()


def test_wrong_files_are_refused_in_one_line(sd, refused):
    Path("images/1.png").unlink()
    assert refused(sd, "--images", "images") == "2 images for 3 prompts: give one for each prompt, or one for all"
    Image.new("L", (24, 32)).save("masks/0.png")
    masks = ("--masks", "masks", "--images", "images/0.png")
    assert refused(sd, *masks) == "masks/0.png: a mask of 24x32 pixels, but images/0.png has 32x24: make them equal"
    Path("images/1.png").write_bytes(Path("images/0.png").read_bytes()[:200])
    assert refused(sd, "--images", "images").startswith("images/1.png: not readable as an image (")
    Path("prompts.txt").write_text("")
    assert refused(sd) == "prompts.txt: the file is empty"


def test_other_checkpoints_are_refused_in_one_line(sd, refused):
    assert refused("nowhere").startswith("nowhere: no such checkpoint: give a folder in diffusers' format")
    assert refused("images").startswith("images/model_index.json: cannot be read, so this is no diffusers checkpoint (")
    assert refused("prompts.txt").startswith("prompts.txt: not a checkpoint manifest (")
    transformer = DiTTransformer2DModel(2, 4, in_channels=4, num_layers=1, sample_size=4, norm_num_groups=4)
    first_stage = AutoencoderKL(block_out_channels=(4,), norm_num_groups=2)
    DiTPipeline(transformer, first_stage, DDIMScheduler()).save_pretrained("dit")
    assert refused("dit") == "dit/model_index.json: DiTPipeline has no U-Net: DeepCache needs skip connections"
    index = json.loads((sd / "model_index.json").read_text())
    Path("other").mkdir()
    Path("other/model_index.json").write_text(json.dumps({**index, "_class_name": "LDMPipeline"}))
    assert refused("other").startswith("other/model_index.json: LDMPipeline is not among the known pipelines (Stable")


@pytest.mark.parametrize("damage", ["missing", "cut", "no config", "another shape"])
def test_damaged_checkpoints_are_refused_in_one_line(refused, tmp_path, damage):
    folder = save(tmp_path / "checkpoint")
    weights, config = folder / "unet/diffusion_pytorch_model.safetensors", folder / "unet/config.json"
    if damage == "missing":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif damage == "no config":
        config.unlink()
    else:
        config.write_text(config.read_text().replace('"cross_attention_dim": 16', '"cross_attention_dim": 24'))
    assert refused(folder).startswith(f"{folder}: diffusers cannot load it (")


def test_images_without_finite_values_are_refused(refused, tmp_path):
    first_stage = AutoencoderKL(**FIRST_STAGE)
    torch.nn.init.constant_(first_stage.decoder.conv_out.bias, torch.nan)
    assert refused(save(tmp_path / "checkpoint", vae=first_stage)) == (
        "image 0 has no finite values: take a wider precision"
    )
    assert not list(Path("out").glob("*.png"))


def test_help_imports_nothing_heavy():
    command = [sys.executable, "-X", "importtime", str(SCRIPT), "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--cache-interval" in shown.stdout and "inpainting" in shown.stdout
    assert "torch" not in shown.stderr and "diffusers" not in shown.stderr
