"""Dynamic programming over full steps, against exhaustive search."""

import itertools

import numpy as np
import pytest

from deepcache import DeepCacheError, uniform
from deepcache.beyond.calibration.optimise import best_steps, schedule_cost
from deepcache.beyond.calibration.residuals import Predictor, residuals

PREDICTORS = [Predictor(order, fitted) for order in (0, 1, 2, 3) for fitted in (False, True)]


def random_gram(steps: int, seed: int = 0) -> np.ndarray:
    """Of features that wander: their differences are independent, of different sizes."""
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(steps, 30)) * rng.uniform(0.1, 2, size=(steps, 1))).cumsum(0)
    return features @ features.T / 30


@pytest.mark.parametrize("predictor", PREDICTORS, ids=lambda predictor: f"{predictor.name}-{predictor.fitted}")
@pytest.mark.parametrize(("steps", "max_gap"), [(6, None), (9, None), (9, 3)])
def test_best_steps_are_those_of_exhaustive_search(predictor, steps, max_gap):
    gram, importance = random_gram(steps, seed=steps), np.random.default_rng(1).random(steps)
    for num_full in range(1 if max_gap is None else 3, steps + 1):
        for costs in (None, importance):
            allowed = [
                (0, *chosen)
                for chosen in itertools.combinations(range(1, steps), num_full - 1)
                if max_gap is None or max(np.diff((0, *chosen, steps))) <= max_gap
            ]
            least = min(schedule_cost(gram, schedule, predictor, costs) for schedule in allowed)
            found = best_steps(gram, num_full, predictor, costs, max_gap)
            assert found in allowed
            assert schedule_cost(gram, found, predictor, costs) == pytest.approx(least, rel=1e-9, abs=1e-12)


def test_cost_of_a_schedule_is_the_sum_over_its_shallow_steps():
    gram, importance = random_gram(7), np.arange(7.0)
    for predictor in PREDICTORS:
        expected = 0.0
        for step, nodes in ((1, (0,)), (2, (0,)), (4, (0, 3)), (6, (0, 3, 5))):
            nodes = nodes[-(predictor.order + 1) :]
            expected += step * residuals(gram, nodes, [step], predictor.weights(gram, nodes, [step]))[0]
        assert schedule_cost(gram, (0, 3, 5), predictor, importance) == pytest.approx(expected)


def test_steps_crowd_where_features_move():
    moves = np.where(np.arange(40) < 20, 1.0, 0.1)  # the first half moves ten times as fast
    features = np.cumsum(moves)[:, None]
    found = best_steps(features @ features.T, 10, Predictor(0))
    assert sum(step < 20 for step in found) >= 7


def test_where_every_step_is_full_nothing_is_missed():
    gram = random_gram(9)
    for predictor in PREDICTORS:
        assert best_steps(gram, 9, predictor) == uniform(9, 1)
        assert schedule_cost(gram, uniform(9, 1), predictor) == 0


@pytest.mark.parametrize(
    ("num_full", "max_gap", "message"),
    [(0, None, "num_full must be between 1"), (8, None, "num_full must"), (2, 3, "2 full steps cannot cover 7 steps")],
)
def test_what_cannot_be_is_refused(num_full, max_gap, message):
    with pytest.raises(DeepCacheError, match=message):
        best_steps(random_gram(7), num_full, Predictor(1), max_gap=max_gap)
