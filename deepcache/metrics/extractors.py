"""Feature extractors, registered with torch-fidelity."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from torch_fidelity import FeatureExtractorBase, register_feature_extractor
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
from torch_fidelity.utils import create_feature_extractor, get_featuresdict_from_dataset

from deepcache.models.classifier import DigitsClassifier

BATCH_SIZE = 256


class DigitsFeatures(FeatureExtractorBase):
    """The digits classifier behind torch-fidelity's interface; its one feature is "pool", 48 numbers an image."""

    def __init__(self, name: str, features_list: Sequence[str], *, checkpoint: Path, **kwargs):
        super().__init__(name, features_list)
        self.classifier = DigitsClassifier.from_pretrained(checkpoint)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Names of the features."""
        return ("pool",)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Every metric uses the one feature."""
        return "pool"

    @staticmethod
    def can_be_compiled() -> bool:
        """Compiling would cost more than it saves."""
        return False

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of uint8 images, shape (B, C, H, W), as a tuple of tensors, (B, 48)."""
        return (self.classifier.features(images),)


EXTRACTORS = {"digits-classifier": DigitsFeatures}


class _Images(Dataset):
    """uint8 images (N, H, W, C) as torch-fidelity wants them: uint8 tensors (C, H, W)."""

    def __init__(self, images: np.ndarray):
        self._images = torch.from_numpy(images).permute(0, 3, 1, 2)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._images[index].contiguous()


def extract_features(images: np.ndarray, extractor: str, checkpoint: Path, device: torch.device) -> np.ndarray:
    """Features of images.

    Args:
        images: uint8, shape (N, H, W, C).
        extractor: a name in EXTRACTORS.
        checkpoint: folder with the extractor's weights.
        device: where to compute.

    Returns:
        float32, shape (N, D).
    """
    if extractor not in FEATURE_EXTRACTORS_REGISTRY:
        register_feature_extractor(extractor, EXTRACTORS[extractor])
    cuda = device.type == "cuda"
    model = create_feature_extractor(extractor, ["pool"], cuda=cuda, verbose=False, checkpoint=checkpoint)
    features = get_featuresdict_from_dataset(_Images(images), model, BATCH_SIZE, cuda, save_cpu_ram=True, verbose=False)
    return features["pool"].float().numpy()
