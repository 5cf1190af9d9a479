"""The digits classifier's features: they take the place of Inception's in the digits suite."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch_fidelity import FeatureExtractorBase

from deepcache.models.classifier import INPUT_SIZE, DigitsClassifier
from deepcache.quality.clean import clean_resize


class DigitsFeatures(FeatureExtractorBase):
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

    def __init__(self, name: str, features_list: Sequence[str], *, checkpoint: Path, **kwargs):
        super().__init__(name, features_list)
        self.classifier = DigitsClassifier.from_pretrained(checkpoint)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Names of the features."""
        return ("pool", "spatial", "logits", "clean")

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """torch-fidelity's own metrics use the pooled features, its Inception score the logits."""
        return "logits" if metric == "isc" else "pool"

    @staticmethod
    def can_be_compiled() -> bool:
        """Compiling would cost more than it saves."""
        return False

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of uint8 images, shape (B, C, H, W), as a tuple of tensors, (B, D), in the order asked for."""
        makers = {
            "pool": self.classifier.features,
            "spatial": self.classifier.spatial,
            "logits": self.classifier,
            "clean": lambda images: self.classifier.features(clean_resize(images, INPUT_SIZE)),
        }
        return tuple(makers[name](images) for name in self.features_list)
