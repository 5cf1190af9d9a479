"""What is measured of images that are made only to be compared: error against the uncached ones, FID, CLIP score."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.models.checkpoints import open_checkpoint
from deepcache.quality.clip_score import Scorer, load_clip
from deepcache.quality.extractors import load_extractor
from deepcache.quality.fidelity import fid_to
from deepcache.quality.intervals import draws
from deepcache.quality.paired_fidelity import squared_errors
from deepcache.quality.references import open_reference
from deepcache.quality.statistics import Statistics
from deepcache.sampling.request import Request
from deepcache.sampling.unrounded import Unrounded

REDRAWN = 200  # how often images are redrawn for the interval of FID's change


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
    clip: Scorer | None = None
    prompts: Sequence[str] | None = None

    @classmethod
    def load(cls, request: Request, arguments: argparse.Namespace) -> "Comparison":
        """Load what a program's options say (see deepcache.beyond.comparison.scoring).

        Args:
            request: whose images are compared; on its device features and embeddings are computed.
            arguments: the parsed options.

        Raises:
            DeepCacheError: if one of them is damaged, or missing where another needs it.
        """
        reference, extractor, extractor_weights = arguments.reference, arguments.extractor, arguments.extractor_weights
        if reference and not (extractor and extractor_weights):
            raise DeepCacheError("--reference needs --extractor and --extractor-weights")
        if arguments.clip and not request.prompts:
            raise DeepCacheError("--clip needs --prompts")
        statistics = features = clip = None
        if reference:
            statistics, weights = open_reference(reference, extractor, extractor_weights)
            features = load_extractor(extractor, weights, request.device)
        if arguments.clip:
            clip = load_clip(open_checkpoint(arguments.clip)[0], request.device)
        return cls(statistics, features, clip, request.prompts and request.prompts.items)

    def measure(self, samples: Sequence[Unrounded], others: Sequence[Unrounded]) -> dict:
        """Measure the images of several seeds.

        Args:
            samples: B images of each seed.
            others: of the same noises, likewise.

        Returns:
            `squared_error`, a list of B values for each seed, rounded to 6 decimals: see
            deepcache.quality.paired_fidelity.squared_errors; `squared_error_unrounded`, that of the images before they
            are rounded; `fid` of all images; `fid_redrawn`, that of images drawn with replacement, the same ones of
            all samples; `clip_score`, as `squared_error`. The last three are None where they are not asked for.

        Raises:
            DeepCacheError: if features or embeddings are not finite, or there are too few images.
        """
        pairs = list(zip(samples, others, strict=True))
        found = {
            "squared_error": [squared_errors(mine.images, other.images).round(6).tolist() for mine, other in pairs],
            "squared_error_unrounded": [squared_errors(mine.pixels, other.pixels).tolist() for mine, other in pairs],
            "fid": None,
            "fid_redrawn": None,
            "clip_score": None,
        }
        if self.reference:
            pool = np.concatenate([self.features(one.images)["pool"] for one in samples])
            fid = fid_to(self.reference)
            found["fid"] = fid(pool)
            found["fid_redrawn"] = [round(fid(pool[drawn]), 6) for drawn in draws(len(pool), REDRAWN)]
        if self.clip:
            prompts = [list(islice(cycle(self.prompts), len(one.images))) for one in samples]
            scores = [self.clip.scores(one.images, of) for one, of in zip(samples, prompts, strict=True)]
            found["clip_score"] = [one.round(6).tolist() for one in scores]
        return found
