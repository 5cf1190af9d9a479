"""What the extractors of features have in common behind torch-fidelity's interface."""

from torch_fidelity import FeatureExtractorBase


class FeatureExtractor(FeatureExtractorBase):
    """An extractor with the features `pool` and `logits` among others, which runs as it is.

    Attributes:
        POOLED: how many numbers `pool` has for an image.
    """

    POOLED: int

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """torch-fidelity's own metrics use the pooled features, its Inception score the logits."""
        return "logits" if metric == "isc" else "pool"

    @staticmethod
    def can_be_compiled() -> bool:
        """Compiling costs more than it saves, and Inception's hooks change what a compiled graph would keep."""
        return False
