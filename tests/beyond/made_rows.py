"""Rows that no model made."""

import numpy as np

from deepcache.beyond.calibration.rows import Rows


def made_rows(steps: int = 9, images: int = 6, probes: int = 2, seed: int = 0) -> Rows:
    """Of features that walk about in 40 dimensions, 30 of which derivatives see; they differ little by image."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(steps, 40)).cumsum(0)
    derivatives = rng.normal(size=(steps, 40)) * (np.arange(40) < 30)
    found = []
    for _ in range(images * probes):
        features = shared + 0.2 * rng.normal(size=(steps, 40)).cumsum(0)
        found.append((derivatives + 0.2 * rng.normal(size=(steps, 40))) @ features.T)
    return Rows(np.stack(found), np.tile(np.arange(images), probes), 100)
