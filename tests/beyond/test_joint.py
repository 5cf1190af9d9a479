"""Weights with the least predicted error, against direct least squares on rows that no model made."""

import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.beyond.calibration.joint import Terms, held_out_error, joint_weights
from deepcache.beyond.calibration.polynomial import polynomial_weights
from deepcache.beyond.calibration.rows import Rows
from tests.beyond.made_rows import made_rows

FULL = (0, 2, 3, 6)


@pytest.fixture
def rows():
    return made_rows()


def by_hand(rows, weights):
    """The error along each probe: what replaces each feature, less the feature, seen by the derivative."""
    found = np.zeros(len(rows.products))
    for step, of in weights.items():
        for row, products in enumerate(rows.products):
            found[row] += products[step, step] - sum(weight * products[step, node] for node, weight in of.items())
    return found


def test_errors_are_those_of_the_weights(rows):
    weights = {1: {0: 1.0}, 4: {2: -0.5, 3: 1.5}, 8: {3: 0.25, 6: 0.75}}
    assert np.allclose(rows.errors(weights), by_hand(rows, weights), rtol=1e-12)
    assert rows.squared_error(np.array([3.0, 1.0])) == pytest.approx(5 / 100)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_terms_tell_the_same_as_the_weights(rows, order):
    terms = Terms.of(rows, FULL, order)
    earlier = np.random.default_rng(1).normal(size=(5, order))
    weights = terms.weights(earlier)
    assert sorted(weights) == [1, 4, 5, 7, 8]
    assert list(weights[1]) == [0] and list(weights[8]) == list(FULL[-order - 1 :])
    assert all(sum(of.values()) == pytest.approx(1) for of in weights.values())
    assert np.allclose(terms.errors(earlier), by_hand(rows, weights), rtol=1e-9)


@pytest.mark.parametrize("trust", [0.01, 1.0, 30.0])
def test_weights_are_the_least_squares_of_errors_and_of_each_steps_own(rows, trust):
    terms = Terms.of(rows, FULL, 2)
    (count, steps, order), moved = terms.moved.shape, terms.moved.reshape(len(rows.products), -1)
    own = [np.zeros((count * steps, moved.shape[1]))]
    for step in range(steps):
        own[0][step * count : (step + 1) * count, step * order : (step + 1) * order] = terms.moved[:, step]
    system = np.concatenate([moved, np.sqrt(trust) * own[0]])
    right = np.concatenate([terms.missed.sum(1), np.sqrt(trust) * terms.missed.T.reshape(-1)])
    used = np.abs(system).sum(0) > 0
    expected = np.zeros(moved.shape[1])
    expected[used] = np.linalg.lstsq(system[:, used], right, rcond=None)[0]
    assert np.allclose(terms.fit(trust).reshape(-1), expected, rtol=1e-3, atol=1e-3)


def test_together_they_err_less_than_polynomials_and_trust_draws_them_apart(rows):
    def error(weights):
        return rows.squared_error(rows.errors(weights))

    joint = [error(joint_weights(rows, FULL, 2, trust)) for trust in (0.01, 1.0, 100.0)]
    assert joint[0] < joint[1] < joint[2] < min(error(polynomial_weights(FULL, 9, order)) for order in (0, 1, 2))


def test_order_zero_holds(rows):
    assert joint_weights(rows, FULL, 0, 1.0) == polynomial_weights(FULL, 9, 0)


def test_every_step_full_leaves_nothing(rows):
    assert joint_weights(rows, range(9), 2, 1.0) == {}
    assert held_out_error(rows, range(9), 2, 1.0) == 0


def test_what_is_fitted_on_some_images_is_judged_on_the_others(rows):
    errors = np.zeros(len(rows.products))
    for chosen in (rows.images % 2 == 0, rows.images % 2 == 1):
        fitted = Rows(rows.products[chosen], rows.images[chosen], rows.elements)
        errors[~chosen] = by_hand(rows, joint_weights(fitted, FULL, 2, 0.5))[~chosen]
    expected = (errors**2).mean() / 100
    assert held_out_error(rows, FULL, 2, 0.5) == pytest.approx(expected, rel=1e-9)
    in_sample = rows.squared_error(rows.errors(joint_weights(rows, FULL, 2, 0.5)))
    assert in_sample < expected


def test_one_image_is_too_few():
    with pytest.raises(DeepCacheError, match="record at least two images"):
        held_out_error(made_rows(images=1), FULL, 1, 1.0)


@pytest.mark.parametrize(
    ("products", "images"),
    [(np.zeros((2, 3, 4)), np.zeros(2)), (np.zeros((2, 3, 3)), np.zeros(3)), (np.eye(3), np.zeros(3))],
)
def test_what_does_not_fit_together_is_refused(products, images):
    with pytest.raises(DeepCacheError, match="do not fit together"):
        Rows(products, images, 10)
