"""Features of the embedded suites' networks: they take the place of Inception's."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from deepcache.models import classifier, efficientnet
from deepcache.models.classifier import DigitsClassifier
from deepcache.models.efficientnet import EfficientNetLite0
from deepcache.quality.clean import clean_resize
from deepcache.quality.feature_extractor import FeatureExtractor


class SuiteFeatures(FeatureExtractor):
    """A network with `features`, `spatial` and logits behind torch-fidelity's interface.

    - `pool`: its features;
    - `spatial`: where things are;
    - `logits`;
    - `clean`: `pool` of the images as clean-fid resizes them to the network's size.

    Args:
        name: as torch-fidelity wants it.
        features_list: which features.
        checkpoint: folder with the weights.

    Attributes:
        SIDE: of the network's input, in pixels.
    """

    SIDE: int

    def __init__(self, name: str, features_list: Sequence[str], *, checkpoint: Path, **kwargs):
        super().__init__(name, features_list)
        self.network = self.load(checkpoint)

    @staticmethod
    @abstractmethod
    def load(checkpoint: Path) -> nn.Module:
        """The network from its folder; DeepCacheError if that holds another or none."""

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
            "clean": lambda images: self.network.features(clean_resize(images, self.SIDE)),
        }
        return tuple(makers[name](images) for name in self.features_list)


class DigitsFeatures(SuiteFeatures):
    """The digits classifier: `pool` has 48 numbers, `spatial` 128, `logits` 10; at 16x16 `clean` is `pool`."""

    POOLED, SIDE = classifier.NUM_FEATURES, classifier.INPUT_SIZE
    load = staticmethod(DigitsClassifier.from_pretrained)


class EfficientNetFeatures(SuiteFeatures):
    """EfficientNet-Lite0: `pool` has 1,280 numbers, `spatial` 1,008, `logits` 1,000 of ImageNet's classes."""

    POOLED, SIDE = efficientnet.POOLED, efficientnet.INPUT_SIZE
    load = staticmethod(EfficientNetLite0)
