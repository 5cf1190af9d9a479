import math

import pytest

from deepcache import DeepCacheError
from deepcache.beyond.comparison.scoring import check_seeds
from deepcache.beyond.comparison.sweeps import EQ7, RULE, read_sweeps
from tests.beyond.swept import ERRORS, decibels, make, sweep, write


def test_decibels_of_a_sweep_are_by_seed_and_image(tmp_path):
    (read,) = make(tmp_path, sweep(errors={RULE: [[0, 3], [4, 70], [2, 2]]}))
    assert read.decibels(*EQ7) == pytest.approx(decibels(ERRORS[EQ7]))
    found = read.decibels(*RULE)
    assert found.shape == (3, 2) and found[0, 0] == math.inf
    assert found.ravel()[1:] == pytest.approx(decibels([3, 4, 70, 2, 2]))


def altered(**changes) -> dict:
    """A sweep whose rule has other values, or, where they are None, none at all."""
    one = sweep()
    for key, value in changes.items():
        one["methods"][4].pop(key) if value is None else one["methods"][4].update({key: value})
    return one


def drop(method: tuple[str, str]) -> dict:
    return {"methods": [one for one in sweep()["methods"] if (one["schedule"], one["reuse"]) != method]}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (sweep(**drop(("uniform", "hold"))), "lacks the method uniform, hold"),
        (sweep(**drop(("chosen", "chosen"))), "lacks the method chosen, chosen"),
        (sweep(images=3), "full, hold: squared_error is not of 3 seeds with 3 images each"),
        (sweep(seeds=[0, 1]), "full, hold: squared_error is not of 2 seeds with 2 images each"),
        (sweep(methods=sweep()["methods"] * 2), "has a method twice"),
        (
            altered(squared_error_unrounded=None),
            r"not a readable sweep \('squared_error_unrounded'\); delete it and run",
        ),
        (altered(squared_error=None), r"not a readable sweep \('squared_error'\); delete it and run again"),
        (altered(fid_redrawn=None), r"not a readable sweep \('fid_redrawn'\); delete it and run again"),
        (
            altered(squared_error_unrounded=[[1, 2]] * 2),
            "chosen, chosen: squared_error_unrounded is not of 3 seeds with 2 images each",
        ),
        (altered(fid=math.inf), "chosen, chosen: fid and fid_redrawn are not at least three finite numbers"),
        (altered(fid_redrawn=[14.0, math.nan, 14.0, 14.0]), "chosen, chosen: fid"),
        ({"model": "a"}, "has no branch, interval, methods, sampler"),
        ("{", "not a readable sweep"),
        ([], "has no model"),
        (
            sweep(seeds=[3], errors={method: [[1, 2]] for method in ERRORS}, images=2),
            "full, hold: clip_score is not of 1 seeds",
        ),
    ],
)
def test_broken_sweeps_are_refused_by_name(tmp_path, broken, message):
    path = write(tmp_path / "b0-n5.json", broken)
    with pytest.raises(DeepCacheError, match=message) as caught:
        read_sweeps([path])
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_one_file_for_each_place(tmp_path):
    paths = [write(tmp_path / name, sweep()) for name in ("one.json", "two.json")]
    with pytest.raises(DeepCacheError, match=r"two\.json: has the same model, branch and interval as .*one\.json"):
        read_sweeps(paths)


@pytest.mark.parametrize("seed", [7001, 7002])
def test_what_is_compared_is_not_of_noises_that_settings_are_picked_on(seed):
    check_seeds([0, 7003], 7001)
    with pytest.raises(DeepCacheError, match=f"--seeds: settings are picked on noises of {seed}"):
        check_seeds([0, seed], 7001)


def test_too_few_seeds_are_refused(tmp_path):
    one = sweep(seeds=[3, 4], errors={method: [[1, 2]] * 2 for method in ERRORS})
    for method in one["methods"]:
        method["clip_score"] = None
    with pytest.raises(DeepCacheError, match=r"b0-n5\.json: gains need at least 3 seeds, not 2"):
        make(tmp_path, one)


@pytest.mark.parametrize(
    ("changes", "what"),
    [({"seeds": [3, 4, 6]}, "seeds"), ({"sampler": "ddim-20"}, "sampler"), ({"images": 1}, "images")],
)
def test_sweeps_of_a_model_have_equal_samples(tmp_path, changes, what):
    errors = {method: [one[: changes.get("images", 2)] for one in rows] for method, rows in ERRORS.items()}
    other = sweep(10, errors=errors, **changes)
    for method in other["methods"]:
        method["clip_score"] = None
    with pytest.raises(DeepCacheError, match=rf"b0-n10\.json: has another {what} than .*b0-n5\.json"):
        make(tmp_path, sweep(5), other)


def test_models_may_differ_in_their_samples(tmp_path):
    assert len(make(tmp_path, sweep(5), sweep(5, "b", seeds=[7, 8, 9]))) == 2
