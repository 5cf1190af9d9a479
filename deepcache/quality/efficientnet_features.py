"""EfficientNet-Lite0's features: they take the place of Inception's in the emoji suite."""

from collections.abc import Sequence
from pathlib import Path

import torch

from deepcache.models.efficientnet import INPUT_SIZE, POOLED, EfficientNetLite0
from deepcache.quality.clean import clean_resize
from deepcache.quality.feature_extractor import FeatureExtractor


class EfficientNetFeatures(FeatureExtractor):
    """EfficientNet-Lite0 behind torch-fidelity's interface.

    - `pool`: 1,280 numbers;
    - `spatial`: 1,008 numbers, see `EfficientNetLite0.spatial`;
    - `logits`: 1,000 numbers, of ImageNet's classes;
    - `clean`: `pool` of the images as clean-fid resizes them to 96x96.

    Args:
        name: as torch-fidelity wants it.
        features_list: which features.
        checkpoint: folder with the weights.
    """

    POOLED = POOLED

    def __init__(self, name: str, features_list: Sequence[str], *, checkpoint: Path, **kwargs):
        super().__init__(name, features_list)
        self.network = EfficientNetLite0(checkpoint)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Names of the features."""
        return ("pool", "spatial", "logits", "clean")

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of uint8 images, shape (B, C, H, W), as a tuple of tensors, (B, D), in the order asked for."""
        makers = {
            "pool": self.network.features,
            "spatial": self.network.spatial,
            "logits": self.network,
            "clean": lambda images: self.network.features(clean_resize(images, INPUT_SIZE)),
        }
        return tuple(makers[name](images) for name in self.features_list)
