"""tune.py, and generate.py with a plan or a speed-up."""

import json
from pathlib import Path

import numpy as np
import pytest
from diffusers import DDIMPipeline, DDIMScheduler
from PIL import Image

from deepcache.beyond.tuning import checkpoint as module
from deepcache.beyond.tuning.plan_cache import FOLDER
from deepcache.caching.plan import open_plan
from tests.generation.checkpoints import PROMPTS, save

pytestmark = pytest.mark.usefixtures("quick")
STEPS = ("--steps", 20, "--guidance-scale", 3)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with prompts, and a folder for plans."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER, str(tmp_path / "plans"))
    Path("prompts.txt").write_text("\n".join(PROMPTS) + "\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def tune(call, folder, place):
    """Run tune.py; returns its exit status."""

    def run(*options, checkpoint=folder) -> int:
        return call("tune.py", "--checkpoint", checkpoint, "--device", "cpu", *options)

    return run


def generate(call, folder, *options, output="out") -> int:
    fixed = ("--checkpoint", folder, "--prompts", "prompts.txt", "--device", "cpu", "--output", output)
    return call("generate.py", *fixed, *options)


def images(output="out"):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(Path(output).glob("*.png"))])


def test_a_plan_a_table_and_a_picture_are_written(tune, call, folder, capsys):
    assert tune("--speedup", 3, *STEPS) == 0
    plan, table = open_plan("plan.json"), Path("plan.md").read_text(encoding="utf-8")
    assert plan.model == folder.name and "unet/diffusion_pytorch_model.safetensors" in plan.sha256
    assert table.startswith("# Tuned: speed-up 3\n\nBest: **") and plan.sampler in table
    assert capsys.readouterr().out.endswith(table + "\n")
    assert ", 6 of 6 full | " in table, "and without caching"
    assert Image.open("plan.png").size[0] > 500
    assert sorted(path.name for path in Path().iterdir()) == ["plan.json", "plan.md", "plan.png", "prompts.txt"]
    assert generate(call, folder, "--plan", "plan.json") == 0
    record = json.loads(Path("out/generation.json").read_text(encoding="utf-8"))
    assert record["full_steps"] == list(plan.full_steps) and record["unet_calls"] == plan.num_steps
    settings = record["settings"]
    assert (settings["steps"], settings["guidance_scale"]) == (plan.settings.steps, 3)
    assert settings["method"] == f"plan {plan.digest}"


def test_the_same_plan_gives_the_same_images_and_another_one_is_told_apart(tune, call, folder, capsys):
    tune("--speedup", 3, *STEPS)
    generate(call, folder, "--plan", "plan.json")
    generate(call, folder, "--plan", "plan.json", output="again")
    assert np.array_equal(images(), images("again"))
    assert tune("--speedup", 2, *STEPS, "--output", "two.json") == 0
    assert generate(call, folder, "--plan", "two.json") == 1
    assert "out" in capsys.readouterr().err


def test_a_speedup_is_tuned_once(tune, call, folder, place, capsys, monkeypatch):
    assert generate(call, folder, "--speedup", 3, *STEPS) == 0
    (plan,) = (place / "plans").iterdir()
    first = images()

    def never(*_, **__):
        raise AssertionError("it is known")

    monkeypatch.setattr(module, "tune_model", never)
    assert generate(call, folder, "--speedup", 3, *STEPS, output="again") == 0
    assert np.array_equal(first, images("again"))
    assert json.loads(plan.read_text(encoding="utf-8"))["calibration"]["budget"] == "speed-up 3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--plan", "plan.json", "--speedup", 3), "--speedup: the plan says how fast it is"),
        (("--plan", "plan.json", "--cache-interval", 3), "--cache-interval: --plan says what is cached"),
        (("--plan", "plan.json", "--steps", 19), "--steps 19: the plan has 20: leave it out, or tune anew"),
        (("--plan", "plan.json", "--sampler", "lms"), "--sampler lms: the plan has ddim"),
        (("--plan", "none.json"), "none.json: not a readable plan"),
        (("--speedup", 3, "--sampler", "ddim"), "--sampler: --speedup finds the sampler: leave it out"),
        (("--speedup", 300), "speed-up 300 cannot be reached: at most"),
        (("--speedup", 0.5), "speedup must be above 1, not 0.5"),
    ],
)
def test_what_does_not_go_together_is_refused(call, folder, place, made, options, message, capsys):
    made.save("plan.json")
    assert generate(call, folder, *options) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and message in error
    assert not Path("out").exists()


def test_a_plan_for_other_weights_is_refused(call, place, made, capsys):
    made.save("plan.json")
    assert generate(call, save("other", layers_per_block=1), "--plan", "plan.json") == 1
    assert "this plan was made for other weights, those of made: tune it anew" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give one of speedup, seconds and macs, not none"),
        (("--speedup", 3, "--prompts", "none.txt"), "none.txt"),
        (("--speedup", 100, *STEPS), "speed-up 100 cannot be reached: at most 7.7, with 4 steps, 2 of them full"),
    ],
)
def test_what_tune_cannot_do_is_refused(tune, options, message, capsys):
    assert tune(*options) == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in Path().iterdir() if path.suffix == ".json"] == []


def test_a_model_that_starts_from_pictures_is_refused(tune, place, capsys):
    Path("svd").mkdir()
    Path("svd/model_index.json").write_text('{"_class_name": "StableVideoDiffusionPipeline"}', encoding="utf-8")
    assert tune("--speedup", 3, checkpoint="svd") == 1
    assert "svd: Stable Video Diffusion starts from pictures, and what" in capsys.readouterr().err.splitlines()[-1]


def test_a_model_without_prompts_is_tuned_too(call, place, unet2d, capsys):
    DDIMPipeline(unet2d, DDIMScheduler()).save_pretrained("pixel")
    assert call("tune.py", "--checkpoint", "pixel", "--speedup", 2.5, "--steps", 20, "--device", "cpu") == 0
    assert open_plan("plan.json").settings.guidance_scale == 1
    assert call("tune.py", "--checkpoint", "pixel", "--speedup", 2, "--prompts", "prompts.txt") == 1
    assert "--prompts: pixel paints from none: leave it out" in capsys.readouterr().err
