"""From a tiny U-Net to a plan that is written, read and run."""

import numpy as np
import pytest

from deepcache import Hold, uniform
from deepcache.beyond.caching.plan import read_plan, write_plan
from deepcache.beyond.calibration.calibrate import calibrate, record
from deepcache.beyond.methods.chosen import Chosen
from deepcache.methods.method import Method
from deepcache.quality.paired_fidelity import psnr, squared_errors
from tests.beyond.tiny import BRANCH, INDICES, MANIFEST, SAMPLER, SEED, STEPS, TinyModel, asked, sampled


@pytest.fixture
def model(unet2d):
    return TinyModel(unet2d)


def test_a_plan_of_its_own_making_is_run_from_its_file(model, tmp_path):
    steps, samples = [], []
    recorded = record(model, SAMPLER, BRANCH, [range(2), range(2, 3)], SEED, points=2, on_step=steps.append)
    assert len(steps) == (2 + 2 + 1) * STEPS
    assert recorded.images == 3 and recorded.gram.shape == (STEPS, STEPS) and recorded.importance.shape == (STEPS,)

    options = {"screened": 1, "on_sample": lambda: samples.append(1)}
    plan = calibrate(asked(model, SEED + 1), Method(Chosen(4), BRANCH), recorded, INDICES, **options)
    write_plan(tmp_path / "plan.json", plan)
    plan = read_plan(tmp_path / "plan.json", MANIFEST, SAMPLER.slug, BRANCH)
    assert plan.num_steps == STEPS and len(plan.full_steps) == 3 and plan.precision == "float32"

    uncached = model.sample(INDICES, SEED + 1, SAMPLER)
    error = squared_errors(sampled(model, plan.full_steps, plan.reuse(), SEED + 1), uncached).mean()
    held = squared_errors(sampled(model, uniform(STEPS, 4), Hold(), SEED + 1), uncached).mean()
    assert error < held
    assert plan.calibration["screened"]["images"] == 1 and plan.calibration["sampled"]["images"] == 2
    tried = plan.calibration["psnr_db"]
    assert 2 <= len(tried) <= 7 and len(samples) >= len(tried) + 10
    assert tried[0] == {
        "steps": plan.calibration["steps"],
        "prediction": plan.calibration["prediction"],
        "psnr_db": pytest.approx(psnr(error)),
    }
    assert {"steps": "uniform", "prediction": "hold", "psnr_db": pytest.approx(psnr(held))} in tried


def test_at_interval_one_every_step_is_full_and_nothing_changes(model):
    recorded = record(model, SAMPLER, BRANCH, [INDICES], SEED, points=2)
    plan = calibrate(asked(model, SEED + 1), Method(Chosen(1), BRANCH), recorded, INDICES)
    assert plan.full_steps == tuple(range(STEPS)) and plan.weights == {}
    assert np.array_equal(sampled(model, plan.full_steps, plan.reuse(), 9), model.sample(INDICES, 9, SAMPLER))
