"""The path of a feature, and how what is missed of it adds up in the image."""

import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.beyond.calibration.polynomial import polynomial_weights
from deepcache.beyond.calibration.recorded import Recorded
from deepcache.beyond.figures.forecast import Column, draw_forecast, principal_path, summed_errors
from deepcache.caching.plan import Plan
from deepcache.figures.style import plt
from tests.beyond.made_rows import made_rows


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


def test_errors_add_up_or_cancel_over_the_steps():
    rows, full = made_rows(9), (0, 3, 6)
    weights = polynomial_weights(full, 9, 0)
    together, apart = summed_errors(rows, weights)
    by_step = np.zeros((len(rows.products), 9))
    for step in (1, 2, 4, 5, 7, 8):
        by_step[:, step] = rows.products[:, step, step] - rows.products[:, step, 3 * (step // 3)]
    for step in range(9):
        assert together[step] == pytest.approx(np.sqrt((by_step[:, : step + 1].sum(1) ** 2).mean() / 100))
        assert apart[step] == pytest.approx(np.sqrt((by_step[:, : step + 1] ** 2).mean(0).sum() / 100))
    assert together[-1] ** 2 == pytest.approx(rows.squared_error(rows.errors(weights)))


def column(features, label: str, plan_steps: int = 20) -> Column:
    shallow = {step: {0: 1.0} for step in range(1, plan_steps)}
    plan = Plan("m", {}, "", "ddim-20", plan_steps, 0, "float32", (0,), shallow)
    return Column(label, (0, 5, 10, 15), Recorded(made_rows(20), gram_of(features), 6, 2, 0), plan)


def test_held_line_and_plan_are_drawn(features):
    found = column(features, "one").ways()
    assert list(found) == ["held, uniform", "line, uniform", "the plan"]
    assert found["held, uniform"][7] == {5: 1.0} and found["line, uniform"][7] == {0: -0.4, 5: 1.4}
    assert found["the plan"][7] == {0: 1.0}
    with pytest.raises(DeepCacheError, match="one: the plan has 19 steps, the recording 20"):
        column(features, "one", 19).ways()


def test_a_column_for_each_model(features):
    figure = draw_forecast("Title", [column(features, "one"), column(features, "two")])
    assert [panel.get_title().split("\n")[0] for panel in figure.axes] == ["one", "two", "", ""]
    legend = [text.get_text() for text in figure.axes[2].get_legend().get_texts()]
    assert legend == ["held, uniform", "line, uniform", "the plan", "if nothing cancelled"]
    plt.close(figure)
