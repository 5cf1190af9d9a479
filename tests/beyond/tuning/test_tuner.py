"""The search on a tiny model: within the budget, the best first, and nothing asked for twice."""

from dataclasses import replace

import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.beyond.tuning.aside import rows_aside
from deepcache.beyond.tuning.candidate import polynomial
from deepcache.beyond.tuning.costs import Costs
from deepcache.beyond.tuning.judged import Judge
from deepcache.beyond.tuning.kept import Kept
from deepcache.beyond.tuning.tuner import Effort, Tuner
from deepcache.quality.paired_fidelity import PEAK, squared_errors
from deepcache.quality.partial import Partial
from deepcache.runs.families import LATENT_CLASS, PIXEL
from deepcache.sampler import Sampler
from deepcache.sampling.unrounded import sample_pixels
from tests.beyond.tiny import TinyModel

CONVERGED = Sampler("ddim", 60)
COSTS = Costs(0.0, 1.0, {0: 0.3, 2: 0.6})
EFFORT = Effort(screened=2, images=3, recorded=4, probes=2, at_once=2)


class DDIMOnly(TinyModel):
    """With the one sampler that it really has."""

    family = replace(PIXEL, samplers=("ddim",))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Little is tried."""
    monkeypatch.setattr("deepcache.beyond.tuning.candidate.STRETCHES", (1.0, 1.6, 2.5))
    for name, value in {"EVEN": ((1, 1.0), (2, 0.3)), "SEARCHED": ((2, 0.3),), "TRIES": 50}.items():
        monkeypatch.setattr(f"deepcache.beyond.tuning.tuner.{name}", value)


@pytest.fixture
def model(unet2d):
    return DDIMOnly(unet2d)


def tuner(model, kept=None, on_tried=lambda tried: None):
    return Tuner(model, CONVERGED, COSTS, EFFORT, kept or Kept(), on_tried)


def test_errors_are_those_to_the_converged_images(model):
    judge = Judge(model, CONVERGED, 3, 2)
    candidate = polynomial(Sampler("ddim", 10), 10, 0, 4, 1, COSTS)
    found = judge(candidate, 3)
    with candidate.applied(model.unet) as cache:
        parts = []
        for batch in ([0, 1], [2]):
            cache.start_trajectory()
            parts.append(sample_pixels(model, batch, 3, candidate.sampler))
        images = np.concatenate(parts)
        assert cache.full_steps == (0, 2, 5, 7)
    decibels = 10 * np.log10(PEAK**2 / squared_errors(images, sample_pixels(model, range(3), 3, CONVERGED)))
    assert found.mean == pytest.approx(decibels.mean(), abs=0.01) and found.images == 3
    assert found.tenth == pytest.approx(np.percentile(decibels, 10), abs=0.01)


def test_converged_images_are_made_once(model):
    judge = Judge(model, CONVERGED, 3, 2)
    judge.converge(2)
    model.trajectories = 0
    judge.converge(2)
    assert model.trajectories == 0
    assert np.array_equal(judge.converge(4)[2:], Judge(model, CONVERGED, 3, 2).converge(4)[2:])


def test_aside_is_what_the_sampler_itself_misses(model):
    sampler, images, probes = Sampler("ddim", 10), 8, 16
    converged = Judge(model, CONVERGED, 9, 4).converge(images)
    rows = rows_aside(model, sampler, 0, [range(4), range(4, 8)], 9, probes, converged)
    missed = squared_errors(sample_pixels(model, range(images), 9, sampler), converged)
    # Over standard normal probes the mean square is the squared error; of 16 it is known to a third.
    by_image = [np.square(rows.aside[rows.images == image]).mean() / rows.elements for image in range(images)]
    assert np.mean(by_image) == pytest.approx(missed.mean(), rel=0.35)
    assert np.corrcoef(by_image, missed)[0, 1] > 0.5
    assert np.array_equal(rows.errors({}), rows.aside), "with no shallow step nothing else is missed"


def test_the_search_stays_within_the_budget_and_returns_the_best_first(model):
    tried = tuner(model).search(7.0, 16)
    assert all(one.candidate.cost <= 7.0 + 1e-9 for one in tried)
    many = [one for one in tried if one.judged.images == EFFORT.images]
    assert tried[: len(many)] == sorted(many, key=lambda one: -one.judged.mean), "judged on many first"
    predictions = {one.candidate.prediction for one in tried}
    assert {"full", "forecast1"} < predictions and any(one.startswith("joint") for one in predictions)
    assert len({one.candidate.steps for one in tried}) == 3
    assert not any(one.candidate.weights for one in tried if not one.candidate.caches)
    full = max(one.judged.mean for one in tried if one.candidate.prediction == "full")
    assert tried[0].judged.mean >= full, "never worse than fewer steps"


def test_a_search_that_was_stopped_goes_on(model, tmp_path):
    whole = tuner(model).search(7.0, 16)
    path, key = tmp_path / "partial.npz", {"of": "this"}

    class Stop(Exception):
        pass

    seen = []

    def stop(tried):
        seen.append(tried)
        if len(seen) == 9:
            raise Stop

    with pytest.raises(Stop):
        tuner(model, Kept(Partial(path, key, every=0)), stop).search(7.0, 16)
    model.trajectories = 0
    again = tuner(model, Kept(Partial(path, key, every=0))).search(7.0, 16)
    rest = model.trajectories
    assert [(one.candidate.words, one.judged) for one in again] == [(one.candidate.words, one.judged) for one in whole]
    model.trajectories = 0
    tuner(model, Kept(Partial(path, key, every=0))).search(7.0, 16)
    assert 0 == model.trajectories < rest, "all is known"


def test_where_time_is_up_what_was_found_is_returned(model):
    hurried = Tuner(model, CONVERGED, COSTS, Effort(screened=2, images=2, recorded=2, minutes=1e-9), Kept())
    tried = hurried.search(7.0, 16)
    assert tried and tried[0].judged.images == 2


def test_another_budget_keeps_sampler_steps_and_branch(model):
    searching = tuner(model)
    best = polynomial(Sampler("ddim", 10), 10, 0, 4, 1, COSTS)
    again = searching.again(best, 7.2)
    assert {(one.candidate.sampler, one.candidate.branch, len(one.candidate.full_steps)) for one in again} == {
        (best.sampler, 0, 6)
    }
    assert again == sorted(again, key=lambda one: -one.judged.mean)
    assert searching.again(best, 4.0) == []


class Strided(DDIMOnly):
    """As a class-conditional latent model: 36 steps would begin beyond the training's timesteps."""

    family = replace(LATENT_CLASS, samplers=("ddim",))

    def num_steps(self, sampler):
        self.family.check(sampler)
        return super().num_steps(sampler)

    def make_latents(self, indices, seed, sampler, on_step=lambda step: None):
        self.family.check(sampler)
        return super().make_latents(indices, seed, sampler, on_step)


@pytest.mark.parametrize("budget", [36.0, 22.5])  # 36 full steps; 22 of them, and 36 in 1.6 times as many
def test_numbers_of_steps_that_a_model_cannot_take_are_left_out(unet2d, budget):
    model = Strided(unet2d)
    with pytest.raises(DeepCacheError, match="its first timestep would lie beyond"):
        model.num_steps(Sampler("ddim", 36))
    found = tuner(model).search(budget, 40)
    assert {one.candidate.sampler.steps for one in found} and all(one.candidate.cost <= budget for one in found)
    assert 36 not in {one.candidate.sampler.steps for one in found}
