"""Plans: what is written is read again, and refused for anything else."""

import json
from dataclasses import replace

import pytest

from deepcache import DeepCacheError
from deepcache.caching.plan import Plan, read_plan
from deepcache.sampler import Sampler

MANIFEST = {"name": "digits-ddpm", "sha256": {"unet/model.safetensors": "0" * 64}}
SAMPLER = Sampler("ddim", 6)
PLAN = Plan(
    model="digits-ddpm",
    sha256=MANIFEST["sha256"],
    unet="2" * 64,
    sampler="ddim-6",
    num_steps=6,
    branch=2,
    precision="float32",
    full_steps=(0, 1, 4),
    weights={2: {0: -1.0, 1: 2.0}, 3: {0: -1 / 3, 1: 4 / 3}, 5: {4: 1.0}},
    calibration={"seed": 7, "images": 16},
)


def test_a_plan_comes_back_as_it_was(tmp_path):
    PLAN.save(tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json", MANIFEST, SAMPLER.slug, 2) == PLAN
    content = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert content["sha256"] == MANIFEST["sha256"] and content["precision"] == "float32"


@pytest.mark.parametrize(
    ("manifest", "sampler", "branch", "message"),
    [
        (
            {"name": "digits-ldm", "sha256": {"unet/model.safetensors": "1" * 64}},
            SAMPLER,
            2,
            "calibrated for the weights of digits-ddpm, not those of digits-ldm: calibrate it for",
        ),
        (MANIFEST, Sampler("ddim", 7), 2, "calibrated for sampler ddim-6, not ddim-7"),
        (MANIFEST, replace(SAMPLER, guidance_scale=3.0), 2, "calibrated for sampler ddim-6, not ddim-6-cfg3"),
        (MANIFEST, SAMPLER, 1, "calibrated for branch 2, not 1"),
    ],
)
def test_a_plan_of_something_else_is_refused(tmp_path, manifest, sampler, branch, message):
    PLAN.save(tmp_path / "plan.json")
    with pytest.raises(DeepCacheError, match=rf"plan\.json: this plan was {message}"):
        read_plan(tmp_path / "plan.json", manifest, sampler.slug, branch)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"branch": "outputs"}, "branch of a plan must be an integer of at least 0, or 'output', not 'outputs'"),
        ({"branch": None}, "branch of a plan must be an integer of at least 0, or 'output', not None"),
        ({"full_steps": (1, 4)}, "schedule must start with step 0"),
        ({"full_steps": (0, 1, 6)}, "full step 6 of a plan lies beyond its 6 steps"),
        ({"weights": {2: {0: 1.0}, 3: {0: 1.0}}}, "a plan needs weights for every step that is not full"),
        ({"weights": {2: {0: 1.0}, 3: {2: 1.0}, 5: {4: 1.0}}}, "and of full steps alone"),
        ({"weights": {2: {4: 1.0}, 3: {0: 1.0}, 5: {4: 1.0}}}, "weights of step 2 must be those of steps before it"),
    ],
)
def test_a_plan_that_does_not_hang_together_is_refused(changes, message):
    with pytest.raises(DeepCacheError, match=message):
        replace(PLAN, **changes)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weights": [], "full_steps": 3}'])
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / "plan.json").write_text(text, encoding="utf-8")
    with pytest.raises(DeepCacheError, match=r"plan\.json: not a readable plan .*; delete it and calibrate again"):
        read_plan(tmp_path / "plan.json", MANIFEST, SAMPLER.slug, 2)
