import numpy as np
import pytest
from scipy import stats

from deepcache.beyond.comparison.compared import Comparison
from deepcache.beyond.comparison.score_changes import score_changes
from deepcache.quality.fidelity import fid
from deepcache.quality.intervals import paired_bootstrap
from deepcache.quality.statistics import Statistics
from deepcache.sampling.unrounded import Unrounded

KEYS = ["fid_change", "fid_change_low", "fid_change_high", "clip_change", "clip_change_low", "clip_change_high"]


def features(images: np.ndarray) -> dict[str, np.ndarray]:
    """The first three pixels."""
    return {"pool": images.reshape(len(images), -1)[:, :3].astype(np.float32)}


class Scorer:
    """Scores an image by its last pixel."""

    def scores(self, images, prompts):
        return images[:, -1, -1, 0] / 10


def runs() -> tuple[list[Unrounded], list[Unrounded]]:
    """Three seeds with five images each, and others that are a little off."""
    rng = np.random.default_rng(0)
    pixels = rng.uniform(20, 200, (3, 5, 2, 2, 1)).astype(np.float32)
    off = pixels * 1.1 + rng.uniform(-10, 10, pixels.shape).astype(np.float32)
    return tuple([Unrounded(each.round().astype(np.uint8), each) for each in run] for run in (pixels, off))


@pytest.fixture
def reference() -> Statistics:
    return Statistics.of(np.random.default_rng(1).normal(120, 60, (50, 3)).astype(np.float32), {})


@pytest.fixture
def measured(reference) -> tuple[dict, dict]:
    """What is measured of the second and of the first of `runs`."""
    uncached, cached = runs()
    comparison = Comparison(reference, features, Scorer(), ["a prompt"])
    return tuple(comparison.measure(images, uncached) for images in (cached, uncached))


def pools() -> list[np.ndarray]:
    """Their features, likewise."""
    return [features(np.concatenate([one.images for one in run]))["pool"] for run in reversed(runs())]


def test_change_of_fid_is_that_of_the_paired_bootstrap(measured, reference):
    expected = paired_bootstrap(lambda one: fid(Statistics.of(one, {}), reference), *pools())
    found = [score_changes(*measured)[key] for key in KEYS[:3]]
    assert found == pytest.approx([expected.value, expected.low, expected.high], abs=1e-4)  # redrawn to 6 decimals
    assert found[1] < found[0] < found[2]


def test_draws_are_paired_between_methods(measured):
    """Had the two other draws, the interval would be far wider."""
    one, other = measured
    found = score_changes(one, other)
    apart = score_changes({**one, "fid_redrawn": one["fid_redrawn"][::-1]}, other)
    widths = [each["fid_change_high"] - each["fid_change_low"] for each in (found, apart)]
    assert widths[0] < 0.6 * widths[1]


def test_change_of_the_clip_score_is_the_paired_t_test_over_images(measured):
    mine, others = (np.concatenate([one.images for one in run])[:, -1, -1, 0] / 10 for run in reversed(runs()))
    interval = stats.ttest_rel(mine, others).confidence_interval(0.95)
    found = [score_changes(*measured)[key] for key in KEYS[3:]]
    assert found == pytest.approx([mine.mean() - others.mean(), interval.low, interval.high])


def test_no_change_to_itself(measured):
    assert score_changes(measured[0], measured[0]) == dict.fromkeys(KEYS, 0)


def test_a_missing_score_has_no_change(measured):
    one, other = measured
    assert score_changes(one, None) == dict.fromkeys(KEYS)
    whole = score_changes(one, other)
    assert list(whole) == KEYS
    no_fid, no_clip = {"fid": None, "fid_redrawn": None}, {"clip_score": None}
    for missing, kept in ((no_fid, KEYS[3:]), (no_clip, KEYS[:3])):
        expected = {key: whole[key] if key in kept else None for key in KEYS}
        assert score_changes({**one, **missing}, other) == score_changes(one, {**other, **missing}) == expected
