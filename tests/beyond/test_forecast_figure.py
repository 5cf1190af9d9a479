"""The path of a feature, and what is missed of it."""

import numpy as np
import pytest

from deepcache.beyond.calibration.residuals import Predictor
from deepcache.beyond.figures.forecast import draw_forecast, missed, principal_path
from deepcache.figures.style import plt


@pytest.fixture
def features():
    """A parabola in a plane, with a little noise: shape (T, D)."""
    rng, steps = np.random.default_rng(0), np.arange(20.0)[:, None]
    middle, along, across = rng.normal(size=(3, 500))
    return middle + 0.05 * steps * along + 0.002 * steps**2 * across + 1e-4 * rng.normal(size=(20, 500))


def gram_of(features):
    return features @ features.T / features.shape[1]


def test_the_path_keeps_distances_where_it_lies_in_a_plane(features):
    path = principal_path(gram_of(features))
    assert path.share > 0.9999
    scale = np.sqrt((features**2).mean())
    for one, other in ((0, 5), (3, 19)):
        apart = np.sqrt(((features[one] - features[other]) ** 2).mean()) / scale
        assert np.hypot(path.x[one] - path.x[other], path.y[one] - path.y[other]) == pytest.approx(apart, rel=1e-3)


def test_what_is_missed_is_measured_on_the_features(features):
    steps, held = missed(gram_of(features), (0, 5, 10, 15), Predictor(0))
    assert steps.tolist() == [step for step in range(20) if step % 5]
    for step, value in zip(steps, held, strict=True):
        true, kept = features[step], features[5 * (step // 5)]
        assert value == pytest.approx(np.sqrt(((true - kept) ** 2).mean() / (true**2).mean()), rel=1e-6)
    _, parabola = missed(gram_of(features), (0, 5, 10, 15), Predictor(2))
    assert (parabola[-4:] < 0.01 * held[-4:]).all()


def test_a_column_for_each_model(features):
    figure = draw_forecast("Title", 5, [("one", 20, gram_of(features)), ("two", 19, gram_of(features))])
    assert [panel.get_title().split("\n")[0] for panel in figure.axes] == ["one", "two", "", ""]
    assert [line.get_label() for line in figure.axes[2].lines] == ["held", "line", "parabola"]
    plt.close(figure)
