"""Picking, timing and measuring, with costs that are known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.beyond.comparison.compared import Comparison
from deepcache.beyond.equal_time.compete import compete
from deepcache.beyond.equal_time.contest import Asked, Contest
from deepcache.beyond.equal_time.methods import METHODS, TUNED
from deepcache.beyond.tuning.kept import Kept
from deepcache.data.manifests import write_manifest
from deepcache.quality.partial import Partial
from deepcache.sampler import Sampler
from deepcache.sampling.request import Prompts
from deepcache.sampling.unrounded import sample_unrounded
from tests.beyond.equal_time.conftest import SMALL, contest
from tests.beyond.tiny import TinyModel, asked

ALL = [*METHODS, TUNED]


def at(found, target, method):
    return next(row for row in found["rows"] if (row["target_speed"], row["method"]) == (target, method))


def test_every_method_has_a_row_at_every_speed(tiny, steps):
    found = contest(tiny, "ddim-20", (2, 6)).run()
    assert [(row["target_speed"], row["method"]) for row in found["rows"]] == [(t, m) for t in (2, 6) for m in ALL]
    assert found["converged"] == "ddim-100" and found["seconds_per_image"] == 10
    missing = {row["method"]: row for row in found["rows"] if "speed" not in row and row["target_speed"] == 2}
    assert set(missing) == {"tgate", "token_merging"} and missing["tgate"]["setting"] == "no cross-attention"
    assert missing["tgate"]["highest"] is None
    for row in found["rows"]:
        if "speed" in row:
            assert row["speed"] >= row["target_speed"] / 1.03
            assert [len(of) for of in row["squared_error_unrounded"]] == [2, 2]
    hold = at(found, 6, "hold")
    assert "speed" not in hold and hold["highest"] == pytest.approx(20 / (1 + 19 * 0.3))
    assert hold["setting"] == "at most 3 times as fast"


def test_what_is_measured_is_the_error_to_the_converged_images(tiny, steps):
    row = at(contest(tiny, "ddim-20", (2,)).run(), 2, "fewer_steps")
    name, steps_taken = row["setting"].removesuffix(", uncached").rsplit("-", 1)
    for seed in (0, 1):
        aim, found = (
            sample_unrounded(tiny, range(2), seed, sampler).pixels
            for sampler in (Sampler("ddim", 100), Sampler(name, int(steps_taken)))
        )
        errors = ((found - aim) ** 2).mean((1, 2, 3))
        assert np.allclose(row["squared_error_unrounded"][seed], errors, rtol=1e-5)
    assert row["macs_g"] == pytest.approx(10.0 / 2)


def test_a_model_with_cross_attention_and_guidance_has_all_methods(painter, steps):
    found = contest(painter, "ddim-12-cfg3", (1.2, 2)).run()
    assert all(
        "speed" in row for row in found["rows"] if row["target_speed"] == 1.2 and row["method"] != "token_merging"
    )
    assert at(found, 1.2, "tgate")["setting"] == "gate step 8"
    assert at(found, 1.2, "tgate")["macs_g"] == pytest.approx(10 * (8 + 4 * 0.4) / 12)
    merged = at(found, 2, "token_merging")
    assert merged.get("highest") in (None, pytest.approx(1.2)), "where tomesd is installed, its highest speed"


def test_settings_are_picked_on_other_prompts_than_those_that_are_measured(tiny, steps, monkeypatch):
    picking, seeds = TinyModel(tiny.unet), {"judged": set(), "picked": set()}
    for name, model in (("judged", tiny), ("picked", picking)):

        def make_latents(indices, seed, *rest, own=model.make_latents, found=seeds[name]):
            found.add(seed)
            return own(indices, seed, *rest)

        monkeypatch.setattr(model, "make_latents", make_latents)
    contest(tiny, "ddim-20", (3,), few=(4,), picking=picking).run()
    assert seeds["judged"] == {0, 1} and seeds["picked"] and not seeds["picked"] & seeds["judged"]


def test_what_misses_its_time_is_picked_again(tiny, steps):
    steps["late"] = {"hold": 1.2, "forecast": 0.8}
    found = contest(tiny, "ddim-40", (2,)).run()
    for method in ("hold", "forecast"):
        assert 2 / 1.03 <= at(found, 2, method)["speed"] < 2.35, method


def test_a_speed_that_nothing_reaches_is_named_with_what_can_be(tiny, steps):
    found = contest(tiny, "ddim-20", (50,)).run()["rows"]
    assert not [row for row in found if "speed" in row]
    highest = {row["method"]: row["highest"] for row in found}
    assert highest["fewer_steps"] == pytest.approx(20) and highest[TUNED] == pytest.approx(20 / (2 + 2 * 0.01))


def test_few_steps_are_compared_with_fewer_that_take_no_longer(tiny, steps):
    found = contest(tiny, "ddim-20", (), few=(2, 8)).run()["few_steps"]
    assert {(row["steps"], row["method"]) for row in found} == {
        *((2, method) for method in ("hold", "whole_output_hold")),
        *((8, method) for method in ("hold", "forecast", "whole_output_hold", "whole_output_forecast")),
    }, "a line needs two full steps"
    row = next(row for row in found if (row["steps"], row["method"]) == (8, "hold"))
    assert row["sampler"] == "ddim-8" and row["speed"] == pytest.approx(8 / (4 + 4 * 0.3))
    assert row["fewer"]["setting"] == "ddim-5, uncached" and row["squared_error"] != row["uncached"]["squared_error"]


def test_a_number_of_steps_that_no_sampler_has_is_left_out(tiny, steps, monkeypatch):
    own = tiny.num_steps

    def num_steps(sampler):
        if sampler.steps == 3:
            raise DeepCacheError("begins beyond the training's timesteps")
        return own(sampler)

    monkeypatch.setattr(tiny, "num_steps", num_steps)
    assert {row["steps"] for row in contest(tiny, "ddim-20", (), few=(3, 4)).run()["few_steps"]} == {4}


def test_converged_images_of_which_half_was_kept_are_made_anew(tiny, steps):
    kept = Kept()
    whole = contest(tiny, "ddim-20", (), kept)
    expected = whole._aim(0)
    half = Kept()
    half.set("aim 0 images", kept.get("aim 0 images"))
    assert np.array_equal(contest(tiny, "ddim-20", (), half)._aim(0).pixels, expected.pixels)


def test_a_second_attempt_samples_nothing_that_is_known(tiny, steps):
    kept, done = Kept(), []
    first = contest(tiny, "ddim-20", (3,), kept).run()
    before = tiny.trajectories
    again = contest(tiny, "ddim-20", (3,), kept, on_done=lambda: done.append(1)).run()
    assert again == first and done
    assert tiny.trajectories == before + 1, "the latents that a rule is fitted on"


def test_a_killed_contest_goes_on_where_it_was(tiny, steps, tmp_path, monkeypatch):
    asked_for = Asked(Sampler("ddim", 20), (3,), (), SMALL, seeds=(0, 1), images=2, batch_size=2, repeats=2)

    def run(name: str, reference: str = "r") -> dict:
        path = tmp_path / f"{name}.json"
        before = tiny.trajectories
        request = asked(tiny, 0)
        compete(request, request, asked_for, Comparison(), {"reference": reference}, path, {"model": "tiny"})
        assert not path.with_name(f"{name}.partial.npz").exists()
        return {**json.loads(path.read_text(encoding="utf-8")), "trajectories": tiny.trajectories - before}

    monkeypatch.setattr(Partial, "due", lambda self: True)
    whole = run("whole")
    assert whole["model"] == "tiny" and whole["device"]
    with monkeypatch.context() as patched:
        patched.setattr(Contest, "_measured", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        for reference in ("r", "other"):
            with pytest.raises(KeyboardInterrupt):
                run(reference)
    assert not (tmp_path / "r.json").exists() and (tmp_path / "r.partial.npz").exists()
    resumed, anew = run("r"), run("other", "another one")
    assert resumed["rows"] == anew["rows"] == whole["rows"]
    assert resumed["trajectories"] < 0.5 * whole["trajectories"] == 0.5 * anew["trajectories"]


def test_a_model_without_prompts_has_none_to_be_picked_on(tiny):
    request = asked(tiny, 0)
    assert request.painting(None) is request
    with pytest.raises(DeepCacheError, match=r"other\.json: tiny takes no prompts: leave it out"):
        request.painting(Path("other.json"))


def test_settings_are_not_picked_on_prompts_of_another_kind(tiny, tmp_path):
    request = replace(asked(tiny, 0), prompts=Prompts(["a seven"], "0"))
    write_manifest(tmp_path / "digits.json", "digits", "digits", None, "bundled")
    with pytest.raises(DeepCacheError, match=r"digits\.json: of another kind than --prompts"):
        request.painting(tmp_path / "digits.json")
