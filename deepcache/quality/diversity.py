"""How different the images are that one prompt gives with several seeds: diversity over the S(S-1)/2 pairs of seeds.

Image j of every run is made from prompt j, and its noise depends on the seed and j: image j of S runs that differ in
their seed alone is S images of one prompt. Nothing of this is in the paper, whose metrics judge one image at a time or
all together.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, zip_longest

import numpy as np

from deepcache.data.datasets import batches
from deepcache.errors import DeepCacheError
from deepcache.progress import progress
from deepcache.quality.intervals import paired_over_images
from deepcache.quality.paired_fidelity import mean_interval, squared_errors

METRICS = ("pairwise_lpips", "pixel_mse", "clip_variance")
Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Diversity:
    """Three metrics of P prompts; all are 0 where every seed gives the same image, and larger where they differ more.

    Attributes:
        pairwise_lpips: LPIPS (see deepcache.quality.perceptual), mean over the pairs of seeds, shape (P,).
        pixel_mse: mean squared difference of pixels on the scale of 0 to 255, mean over the pairs of seeds, shape (P,).
        clip_variance: unbiased variance of the CLIP score (0 to 100) over the seeds, shape (P,).
    """

    pairwise_lpips: np.ndarray
    pixel_mse: np.ndarray
    clip_variance: np.ndarray

    def summary(self) -> dict[str, float]:
        """Mean of each metric over the prompts and its 95 % interval over redrawn prompts (`_low`, `_high`)."""
        found = {}
        for name, values in asdict(self).items():
            found[name] = float(values.mean())
            found[f"{name}_low"], found[f"{name}_high"] = mean_interval(values)
        return found

    def change(self, baseline: "Diversity") -> dict[str, float]:
        """Mean difference of each metric to the same prompts and seeds without caching (`_change`, `_low`, `_high`).

        With the 95 % interval of the paired t-test over prompts. A negative change: caching makes images more alike.

        Raises:
            DeepCacheError: if the numbers of prompts differ, or there is only one.
        """
        found = {}
        for name in METRICS:
            one = paired_over_images(getattr(self, name).tolist(), getattr(baseline, name).tolist())
            found |= {f"{name}_change": one.value, f"{name}_change_low": one.low, f"{name}_change_high": one.high}
        return found

    def per_prompt(self) -> dict[str, list[float]]:
        """Each metric of each prompt."""
        return {name: values.tolist() for name, values in asdict(self).items()}


def pairwise(distance: Distance, values: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of a distance over the pairs of seeds, for each prompt.

    Args:
        distance: of two arrays whose first axis is the prompts, shape (P,).
        values: one array for each of at least two seeds.

    Returns:
        float64, shape (P,).
    """
    return np.mean([distance(a, b) for a, b in combinations(values, 2)], axis=0)


def measure_diversity(
    runs: Sequence[Iterable[np.ndarray]], scores: np.ndarray, perceptual: Distance, batch_size: int = 32
) -> Diversity:
    """Go through the runs of several seeds in step: no more than a batch of each is in memory.

    Args:
        runs: for each of S seeds the images of P prompts in order, uint8, shape (H, W, C).
        scores: CLIP scores of these images, shape (S, P).
        perceptual: LPIPS of two batches of images, such as `Perceptual.distances`.
        batch_size: images of each run at a time.

    Raises:
        DeepCacheError: if there are fewer than two seeds or prompts, or the runs differ in number or size of images.
    """
    if len(runs) < 2:
        raise DeepCacheError(f"diversity needs runs of at least two seeds, not {len(runs)}")
    if len(runs) != len(scores) or scores.shape[1] < 2:
        seeds, prompts = scores.shape
        raise DeepCacheError(
            f"diversity needs a CLIP score of each run's image of at least two prompts: there are {len(runs)} runs, "
            f"and scores of {seeds} with {prompts} images"
        )
    found: list[tuple[np.ndarray, np.ndarray]] = []
    with progress(None, "diversity", unit="prompt", total=scores.shape[1]) as bar:
        for images in zip_longest(*(batches(run, batch_size) for run in runs), fillvalue=np.empty(0)):
            if len({one.shape for one in images}) > 1:
                shapes = ", ".join("x".join(map(str, one.shape)) for one in images)
                raise DeepCacheError(f"the seeds' runs differ in number or size of their images: batches of {shapes}")
            found.append((pairwise(perceptual, images), pairwise(squared_errors, images)))
            bar.update(len(images[0]))
    lpips, errors = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if len(lpips) != scores.shape[1]:
        raise DeepCacheError(f"the runs hold {len(lpips)} images each, but there are CLIP scores of {scores.shape[1]}")
    # The unbiased variance is half the mean squared difference of all pairs; so written, equal scores give exactly 0.
    return Diversity(lpips, errors, pairwise(lambda a, b: (a - b) ** 2 / 2, scores))
