"""Frechet distance between two Gaussians: the formula of FID and of sFID."""

import math

import numpy as np
from scipy.linalg.lapack import dpstrf

from deepcache.errors import DeepCacheError


def frechet_distance(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    """|mu1 - mu2|^2 + tr(sigma1 + sigma2 - 2 (sigma1 sigma2)^(1/2)) (Heusel et al. 2017, Eq. 6), at least 0.

    With factors sigma = A A^T the trace of the root is the nuclear norm of A1^T A2. It is accurate for singular
    covariances too, as of fewer images than dimensions, where the eigenvalues of sigma1 sigma2 are not: rounding makes
    1e-16 of an eigenvalue 0, and its root 1e-8, once for each missing dimension. About 4 s for 2,048 dimensions, a
    tenth of it for few images.

    Args:
        mu1: mean, shape (D,).
        sigma1: covariance, shape (D, D), symmetric.
        mu2: the other mean, shape (D,).
        sigma2: the other covariance, shape (D, D).

    Raises:
        DeepCacheError: if the shapes do not fit together, or something is not finite.
    """
    moments = [np.asarray(one, dtype=np.float64) for one in (mu1, sigma1, mu2, sigma2)]
    mu1, sigma1, mu2, sigma2 = moments
    shapes = [one.shape for one in moments]
    if mu1.ndim != 1 or shapes != [mu1.shape, mu1.shape * 2] * 2:
        raise DeepCacheError(f"mu and sigma must have shapes (D,) and (D, D), twice the same D, not {shapes}")
    if not all(np.isfinite(one).all() for one in moments):
        raise DeepCacheError("mu or sigma contains NaN or infinity: a covariance needs at least two images")
    trace_of_root = np.linalg.svd(_factor(sigma1).T @ _factor(sigma2), compute_uv=False).sum()
    with np.errstate(over="ignore", invalid="ignore"):
        distance = float(np.square(mu1 - mu2).sum() + np.trace(sigma1) + np.trace(sigma2) - 2 * trace_of_root)
    if not math.isfinite(distance):
        raise DeepCacheError("the Frechet distance is not finite: the features are too large for float64")
    return max(0.0, distance)


def _factor(sigma: np.ndarray) -> np.ndarray:
    """A with A A^T = sigma, shape (D, rank), by Cholesky's decomposition with pivots.

    It ends where what is left cannot be told from rounding, so its work grows with the rank: few images cost little.
    """
    tolerance = max(np.diag(sigma).max(initial=0.0), 0.0) * len(sigma) * np.finfo(np.float64).eps
    if tolerance == 0:
        return np.zeros((len(sigma), 0))
    decomposed, pivots, rank, _ = dpstrf(sigma, tol=tolerance, lower=1)
    factor = np.empty((len(sigma), rank))
    factor[pivots - 1] = np.tril(decomposed)[:, :rank]
    return factor
