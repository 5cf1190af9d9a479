"""Weights of a ridge regression on Chebyshev polynomials, against the regression itself."""

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev

from deepcache.beyond.caching.chebyshev import chebyshev_weights
from deepcache.beyond.calibration.polynomial import polynomial_weights

FULL, STEPS = (0, 1, 2, 3, 5, 8, 12, 17, 23, 30, 38, 45), 50


def regressed(nodes, values, step, degree=4, ridge=0.1):
    """Spectrum's Eq. for the coefficients, by a least-squares solver: rows sqrt(ridge) I stand for the penalty."""
    tau = (np.array(nodes) - STEPS / 2) * 2 / STEPS
    design = np.stack([np.cos(m * np.arccos(tau)) for m in range(degree + 1)], axis=1)
    rows = np.concatenate([design, np.sqrt(ridge) * np.eye(degree + 1)])
    aims = np.concatenate([values, np.zeros((degree + 1, values.shape[1]))])
    coefficients = np.linalg.lstsq(rows, aims, rcond=None)[0]
    return chebyshev.chebval((step - STEPS / 2) * 2 / STEPS, coefficients)


def test_forecasts_are_those_of_the_regression():
    values = np.random.default_rng(0).normal(size=(STEPS, 7)).cumsum(0)
    weights = chebyshev_weights(FULL, STEPS)
    assert set(weights) == set(range(STEPS)) - set(FULL)
    for step, of in weights.items():
        nodes = [node for node in FULL if node < step][-10:]
        assert list(of) == nodes
        found = sum(weight * values[node] for node, weight in of.items())
        assert found == pytest.approx(regressed(nodes, values[nodes], step), abs=1e-9)


def test_a_share_is_mixed_with_a_line():
    pure, mixed, line = (
        chebyshev_weights(FULL, STEPS),
        chebyshev_weights(FULL, STEPS, 0.5),
        polynomial_weights(FULL, STEPS, 1),
    )
    for step, of in mixed.items():
        expected = {node: 0.5 * pure[step][node] + 0.5 * line[step].get(node, 0.0) for node in of}
        assert of == pytest.approx(expected)


def test_a_quartic_is_forecast_where_the_ridge_is_small():
    quartic = torch.linspace(-1, 1, STEPS).double() ** 4
    for step, of in chebyshev_weights(FULL, STEPS, ridge=1e-12).items():
        if step > 12:
            found = sum(weight * quartic[node] for node, weight in of.items())
            assert found == pytest.approx(float(quartic[step]), abs=1e-4)
