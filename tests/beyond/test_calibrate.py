"""From a tiny U-Net to a plan that is written, read and run."""

import numpy as np
import pytest

from deepcache import DeepCache, DeepCacheError, Hold, uniform
from deepcache.beyond.calibration.calibrate import calibrate
from deepcache.beyond.calibration.recorded import Recorded
from deepcache.beyond.calibration.recording import record
from deepcache.beyond.methods.chosen import Chosen
from deepcache.caching.plan import read_plan
from deepcache.methods.method import Method
from deepcache.quality.paired_fidelity import psnr, squared_errors
from deepcache.sampling.unrounded import sample_pixels
from tests.beyond.made_rows import made_rows
from tests.beyond.tiny import BRANCH, INDICES, MANIFEST, SAMPLER, SEED, STEPS, TinyModel, asked, sampled


@pytest.fixture
def model(unet2d):
    return TinyModel(unet2d)


def test_a_plan_of_its_own_making_is_run_from_its_file(model, tmp_path):
    samples = []
    recorded = record(model, SAMPLER, BRANCH, [range(2), range(2, 3)], SEED)
    options = {"screened": 1, "on_sample": lambda: samples.append(1)}
    plan = calibrate(asked(model, SEED + 1), Method(Chosen(4), BRANCH), recorded, INDICES, **options)
    plan.save(tmp_path / "plan.json")
    plan = read_plan(tmp_path / "plan.json", MANIFEST, SAMPLER.slug, BRANCH)
    assert plan.num_steps == STEPS and len(plan.full_steps) == 3 and plan.precision == "float32"

    uncached = sample_pixels(model, INDICES, SEED + 1, SAMPLER)

    def decibels(full_steps, reuse) -> float:
        with DeepCache(model.unet, schedule=full_steps, branch=BRANCH, reuse=reuse) as cache:
            cache.start_trajectory()
            errors = squared_errors(sample_pixels(model, INDICES, SEED + 1, SAMPLER), uncached)
        return np.mean([psnr(error) for error in errors])

    found, held = decibels(plan.full_steps, plan.reuse()), decibels(uniform(STEPS, 4), Hold())
    assert found > held
    assert plan.calibration["recorded"] == {"images": 3, "probes": 2, "seed": SEED}
    assert plan.calibration["screened"]["images"] == 1 and plan.calibration["sampled"]["images"] == 2
    tried = plan.calibration["finalists"]
    assert 2 <= len(tried) <= 7 and len(samples) >= len(tried) + 10
    assert [one["psnr_mean_db"] for one in tried] == sorted((one["psnr_mean_db"] for one in tried), reverse=True)
    best = {name: plan.calibration[name] for name in ("steps", "prediction", "trust")}
    assert tried[0] == {**best, "psnr_mean_db": pytest.approx(found)}
    first = {"steps": "uniform", "prediction": "hold", "trust": None}
    assert {**first, "psnr_mean_db": pytest.approx(held)} in tried


def test_a_recording_of_another_sampler_is_refused(model):
    recorded = Recorded(made_rows(STEPS - 1), np.eye(STEPS - 1), 6, 2, SEED)
    with pytest.raises(
        DeepCacheError, match="11 steps were recorded, but ddim-12-quad calls the U-Net 12 times: record"
    ):
        calibrate(asked(model, SEED + 1), Method(Chosen(4), BRANCH), recorded, INDICES)


def test_at_interval_one_every_step_is_full_and_nothing_changes(model):
    recorded = record(model, SAMPLER, BRANCH, [INDICES], SEED)
    plan = calibrate(asked(model, SEED + 1), Method(Chosen(1), BRANCH), recorded, INDICES)
    assert plan.full_steps == tuple(range(STEPS)) and plan.weights == {}
    assert np.array_equal(sampled(model, plan.full_steps, plan.reuse(), 9), model.sample(INDICES, 9, SAMPLER))
