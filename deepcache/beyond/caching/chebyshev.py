"""What: Chebyshev polynomials through all kept values by ridge regression, as weights of these values.

Spectrum (Han et al. 2026, arXiv 2603.01623) forecasts the last feature of a denoiser so. Its authors recommend to mix
in a line through the last two values.
"""

from collections.abc import Sequence

import numpy as np
from numpy.polynomial.chebyshev import chebvander

from deepcache.beyond.caching.forecast import lagrange_weights

DEGREE, RIDGE, KEPT = 4, 0.1, 10  # the authors' defaults: M, lambda, how many values are kept


def chebyshev_weights(
    full_steps: Sequence[int],
    num_steps: int,
    share: float = 1.0,
    degree: int = DEGREE,
    ridge: float = RIDGE,
    kept: int = KEPT,
) -> dict[int, dict[int, float]]:
    """For each shallow step, full step -> weight of its value, as `Weighted` takes them.

    Steps are mapped to tau from -1 (the first) to 1 (T); the coefficients C = (X^T X + ridge I)^-1 X^T H of the kept
    values H, with X = (T_0(tau), ..., T_M(tau)), lead to T(tau*) C at another step.

    Args:
        full_steps: k of T, starting with 0.
        num_steps: T.
        share: of the polynomials, 0 to 1; the rest is the line through the last two values.
        degree: M.
        ridge: of the regression.
        kept: so many last values are used.
    """
    found, end = {}, [*full_steps[1:], num_steps]
    for i, (last, following) in enumerate(zip(full_steps, end, strict=True)):
        nodes = list(full_steps[max(0, i + 1 - kept) : i + 1])
        design = _design(nodes, num_steps, degree)
        inverse = np.linalg.solve(design.T @ design + ridge * np.eye(degree + 1), design.T)
        for step in range(last + 1, following):
            weights = share * (_design([step], num_steps, degree) @ inverse)[0]
            line = nodes[-2:]
            weights[-len(line) :] += (1 - share) * np.array(lagrange_weights(line, step))
            found[step] = dict(zip(nodes, weights.tolist(), strict=True))
    return found


def _design(steps: Sequence[int], num_steps: int, degree: int) -> np.ndarray:
    return chebvander(2 * np.array(steps, dtype=float) / num_steps - 1, degree)
