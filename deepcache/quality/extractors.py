"""Feature extractors: what an image becomes before sets of images are compared."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from deepcache.errors import DeepCacheError
from deepcache.fitting import Fitting
from deepcache.models import efficientnet
from deepcache.precision import exact
from deepcache.quality.feature_extractor import FeatureExtractor
from deepcache.quality.inception_features import InceptionADM, InceptionPytorchFid
from deepcache.quality.suite_features import DigitsFeatures, EfficientNetFeatures

# By kind; each is made with a name, the names of the features and the folder of its weights.
EXTRACTORS: dict[str, type[FeatureExtractor]] = {
    "digits-classifier": DigitsFeatures,
    efficientnet.KIND: EfficientNetFeatures,
    "inception-adm": InceptionADM,
    "inception-pytorch-fid": InceptionPytorchFid,
}


def pooled_width(kind: str) -> int:
    """How many numbers `pool` has for an image, by the extractor's kind."""
    return EXTRACTORS[kind].POOLED


def load_extractor(
    kind: str, checkpoint: Path, device: torch.device, names: Sequence[str] = ("pool",)
) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """Load an extractor.

    Args:
        kind: a name in EXTRACTORS.
        checkpoint: folder with the extractor's weights.
        device: where to compute.
        names: which features: `pool` (for FID, KID, precision and recall), `spatial` (for sFID), `logits` (for the
            Inception score), `clean` (for FID as clean-fid computes it).

    Returns:
        A function of a batch of images, uint8, shape (B, H, W, 1 or 3), that gives float32, shape (B, D), by name.

    Raises:
        DeepCacheError: if there is no such extractor or feature, or the weights are missing or others.
    """
    if kind not in EXTRACTORS:
        raise DeepCacheError(f"extractor {kind!r} is not known: use {', '.join(EXTRACTORS)}")
    provided = EXTRACTORS[kind].get_provided_features_list()
    unknown = [name for name in names if name not in provided]
    if unknown:
        raise DeepCacheError(f"extractor {kind} has no features {', '.join(unknown)}: use {', '.join(provided)}")
    model = EXTRACTORS[kind](kind, list(names), checkpoint=checkpoint).requires_grad_(False).eval().to(device)

    def features(images: np.ndarray) -> dict[str, np.ndarray]:
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device)
        with torch.inference_mode(), exact():  # so the same in every run
            found = model.convert_features_tuple_to_dict(model(batch))
        return {name: value.float().cpu().numpy() for name, value in found.items()}

    fitting = Fitting(features)

    def joined(images: np.ndarray) -> dict[str, np.ndarray]:
        parts = list(fitting(images))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    return joined


def extract(
    batches: Iterable[np.ndarray], kind: str, checkpoint: Path, device: torch.device, names: Sequence[str] = ("pool",)
) -> Iterator[dict[str, np.ndarray]]:
    """Features of batches of images, one batch at a time: see `load_extractor`.

    Args:
        batches: uint8, shape (B, H, W, 1 or 3); read as the features are asked for.
        kind: a name in EXTRACTORS.
        checkpoint: folder with the extractor's weights.
        device: where to compute.
        names: which features.

    Returns:
        For each batch float32, shape (B, D), by name.

    Raises:
        DeepCacheError: as from `load_extractor`, at once.
    """
    return map(load_extractor(kind, checkpoint, device, names), batches)
