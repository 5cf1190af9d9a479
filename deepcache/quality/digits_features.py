"""The digits classifier's features: they take the place of Inception's in the digits suite."""

from collections.abc import Sequence
from pathlib import Path

import torch

from deepcache.models.classifier import INPUT_SIZE, DigitsClassifier
from deepcache.quality.clean import clean_resize
from deepcache.quality.feature_extractor import FeatureExtractor


class DigitsFeatures(FeatureExtractor):
    """The digits classifier behind torch-fidelity's interface.

    - `pool`: 48 numbers, see `DigitsClassifier.features`;
    - `spatial`: 128 numbers, see `DigitsClassifier.spatial`;
    - `logits`: 10 numbers;
    - `clean`: `pool` of the images as clean-fid resizes them to 16x16; of images of that size it is `pool`.

    Args:
        name: as torch-fidelity wants it.
        features_list: which features.
        checkpoint: folder with the classifier.
    """

    POOLED = 48

    def __init__(self, name: str, features_list: Sequence[str], *, checkpoint: Path, **kwargs):
        super().__init__(name, features_list)
        self.classifier = DigitsClassifier.from_pretrained(checkpoint)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Names of the features."""
        return ("pool", "spatial", "logits", "clean")

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of uint8 images, shape (B, C, H, W), as a tuple of tensors, (B, D), in the order asked for."""
        makers = {
            "pool": self.classifier.features,
            "spatial": self.classifier.spatial,
            "logits": self.classifier,
            "clean": lambda images: self.classifier.features(clean_resize(images, INPUT_SIZE)),
        }
        return tuple(makers[name](images) for name in self.features_list)
