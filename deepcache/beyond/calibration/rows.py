"""The linear map from errors of a branch's feature to the error of the final image, known along random directions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deepcache.errors import DeepCacheError


@dataclass(frozen=True)
class Rows:
    """What backward passes through uncached trajectories tell, see deepcache.beyond.calibration.adjoint.

    Where the feature F_t is replaced by a sum of others, with weights that add up to 1, the error of the image along a
    row's probe is to first order the sum over those t of products[t, t] - sum over i of w_ti products[t, n_i]. Over
    probes that are standard normal, the mean of its square is the squared error of the image, summed over its numbers.

    Attributes:
        products: <a_t, F_s> of row r, shape (R, T, T).
        images: number of the image that a row is of, shape (R,).
        elements: of an image: pixels times channels.
        aside: <v, aim - uncached image> of row r, shape (R,): how far the sampler itself lies from the image that is
            aimed at; None where the uncached image is the aim.

    Raises:
        DeepCacheError: if the shapes do not fit.
    """

    products: np.ndarray
    images: np.ndarray
    elements: int
    aside: np.ndarray | None = None

    def __post_init__(self):
        shape, of_rows = self.products.shape, [self.images] if self.aside is None else [self.images, self.aside]
        fits = all(one.shape == shape[:1] for one in of_rows) and self.elements > 0
        if len(shape) != 3 or shape[1] != shape[2] or not fits:
            raise DeepCacheError(f"rows of shape {shape} of {self.images.shape} images do not fit together")

    @property
    def num_steps(self) -> int:
        """Calls of the U-Net in a trajectory, T."""
        return self.products.shape[1]

    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Two masks of rows, each with the other half of the images; DeepCacheError if there is only one image."""
        distinct = np.unique(self.images)
        if len(distinct) < 2:
            raise DeepCacheError("what is fitted on some images is judged on others: record at least two images")
        first = np.isin(self.images, distinct[::2])
        return first, ~first

    def errors(self, weights: Mapping[int, Mapping[int, float]]) -> np.ndarray:
        """Error of the image along each row's probe, to first order, shape (R,).

        Args:
            weights: for each shallow step, full step -> weight of its feature.
        """
        found = np.zeros(len(self.products)) if self.aside is None else self.aside.copy()
        for step, of in weights.items():
            nodes = list(of)
            found += self.products[:, step, step] - self.products[:, step, nodes] @ np.array([of[n] for n in nodes])
        return found

    def squared_error(self, errors: np.ndarray) -> float:
        """Mean squared error of the image, on the scale of 0 to 255, of errors along the probes, shape (R,)."""
        return float(np.mean(errors**2)) / self.elements
