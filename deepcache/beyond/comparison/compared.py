"""What is measured of images that are made only to be compared: error against the uncached ones, FID, CLIP score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from deepcache.errors import DeepCacheError
from deepcache.models.checkpoints import open_checkpoint
from deepcache.quality.clip_score import Clip, load_clip
from deepcache.quality.extractors import load_extractor
from deepcache.quality.fidelity import fid
from deepcache.quality.paired_fidelity import squared_errors
from deepcache.quality.references import open_reference
from deepcache.quality.statistics import Statistics


@dataclass(frozen=True)
class Comparison:
    """Compares images with others of the same noises.

    Attributes:
        reference: of FID, or None for no FID.
        features: its extractor.
        clip: for the CLIP score, or None for none.
        prompts: what image j was made from, counted round the list where there are fewer.
    """

    reference: Statistics | None = None
    features: Callable[[np.ndarray], dict[str, np.ndarray]] | None = None
    clip: Clip | None = None
    prompts: Sequence[str] | None = None

    @classmethod
    def load(
        cls,
        device: torch.device,
        reference: Path | None = None,
        extractor: str | None = None,
        extractor_weights: Path | None = None,
        clip: Path | None = None,
        prompts: Sequence[str] | None = None,
    ) -> "Comparison":
        """Load what a program's options of the same names tell.

        Args:
            device: where to compute features and embeddings.
            reference: reference statistics, for FID.
            extractor: kind of their features.
            extractor_weights: manifest of its weights.
            clip: manifest of the CLIP model.
            prompts: for the CLIP score.

        Raises:
            DeepCacheError: if one of them is damaged, or missing where another needs it.
        """
        if reference and not (extractor and extractor_weights):
            raise DeepCacheError("--reference needs --extractor and --extractor-weights")
        if clip and not prompts:
            raise DeepCacheError("--clip needs --prompts")
        statistics = features = None
        if reference:
            statistics, weights = open_reference(reference, extractor, extractor_weights)
            features = load_extractor(extractor, weights, device)
        return cls(statistics, features, load_clip(open_checkpoint(clip)[0], device) if clip else None, prompts)

    def measure(self, images: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> dict:
        """Measure the images of several seeds.

        Args:
            images: of each seed, uint8, shape (B, H, W, C).
            others: of the same noises, likewise.

        Returns:
            `squared_error`, a list of B values for each seed, rounded to 6 decimals: see
            deepcache.quality.paired_fidelity.squared_errors; `fid` of all images; `clip_score`, as `squared_error`. The
            last two are None where they are not asked for.

        Raises:
            DeepCacheError: if features or embeddings are not finite, or there are too few images.
        """
        errors = [squared_errors(mine, theirs) for mine, theirs in zip(images, others, strict=True)]
        found = {"squared_error": [one.round(6).tolist() for one in errors], "fid": None, "clip_score": None}
        if self.reference:
            pool = np.concatenate([self.features(one)["pool"] for one in images])
            found["fid"] = fid(Statistics.of(pool, {}), self.reference)
        if self.clip:
            scores = [self.clip.scores(one, list(islice(cycle(self.prompts), len(one)))) for one in images]
            found["clip_score"] = [one.round(6).tolist() for one in scores]
        return found
