"""Weights of polynomials through kept features."""

import numpy as np
import pytest

from deepcache.beyond.calibration.polynomial import polynomial_weights

FULL, STEPS = (0, 2, 3, 6), 9


@pytest.mark.parametrize("order", [0, 1, 2])
def test_they_are_exact_on_polynomials_of_their_order(order):
    curve = np.polynomial.Polynomial([3.0, -2.0, 0.5][: order + 1])
    weights = polynomial_weights(FULL, STEPS, order)
    assert sorted(weights) == [1, 4, 5, 7, 8]
    for step, of in weights.items():
        nodes = [node for node in FULL if node < step][-(order + 1) :]
        assert list(of) == nodes
        if len(nodes) == order + 1:
            assert sum(weight * curve(node) for node, weight in of.items()) == pytest.approx(curve(step))


def test_where_every_step_is_full_there_are_none():
    assert polynomial_weights(range(4), 4, 1) == {}
