"""Samples beside real pictures."""

import numpy as np
import pytest

from deepcache.figures.real_pictures import Scores, draw_beside


def test_pairs_with_their_prompts_and_scores():
    rng = np.random.default_rng(0)
    real, samples = (rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8) for count in (12, 10))
    prompts = [f"a noto emoji of thing {number}" for number in range(12)]
    scores = Scores(real=np.full(12, 60.0), sampled=[50.0 + number for number in range(12)])
    figure = draw_beside("model", samples, real, prompts, scores)
    drawn = [axes for axes in figure.axes if axes.get_images()]
    assert len(drawn) == 10
    pixels = drawn[3].get_images()[0].get_array()
    assert np.array_equal(pixels[:, :8], real[3]) and np.array_equal(pixels[:, 10:], samples[3])
    assert drawn[3].get_title() == "thing 3\n53"
    title = " ".join(figure.get_suptitle().split())
    assert "score 55.5 of samples, 60.0 of real pictures, over 12 prompts" in title


def test_the_summary_compares_in_pairs():
    found = Scores(real=[60.0, 70.0, 80.0], sampled=[50.0, 61.0, 69.0]).summary()
    assert (found["score_real"], found["score_sampled"], found["change"]) == (70, 60, -10)
    assert found["share_of_real"] == pytest.approx(6 / 7)
    assert found["change_low"] < -10 < found["change_high"] < 0
