"""How far a sampler of few steps lies from the converged solution, along the directions of rows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from deepcache.beyond.calibration.recording import draw_probes, record
from deepcache.beyond.calibration.rows import Rows
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel
from deepcache.sampling.unrounded import sample_pixels


def rows_aside(
    model: ImageModel,
    sampler: Sampler,
    branch: int | str,
    batches: Sequence[Sequence[int]],
    seed: int,
    probes: int,
    converged: np.ndarray,
) -> Rows:
    """Rows whose aim is the converged image: weights that are fitted on them also make up for the sampler's own error.

    Args:
        model: makes the images.
        sampler: of few steps.
        branch: where the U-Net is cut, 0-based, or OUTPUT.
        batches: indices of the images, from 0 on, batch by batch.
        seed: of their noise.
        probes: directions for each image.
        converged: images of many steps, float32 from 0 to 255, shape (n, H, W, C).

    Raises:
        DeepCacheError: as from `record`.
    """
    rows = record(model, sampler, branch, batches, seed, probes).rows
    aside = []
    for batch in batches:
        missed = torch.from_numpy(converged[list(batch)] - sample_pixels(model, batch, seed, sampler)).double()
        directions = draw_probes(missed.shape[1:], batch, seed, probes).double()
        aside += [(probe * missed).flatten(1).sum(1).numpy() for probe in directions]
    return replace(rows, aside=np.concatenate(aside))
