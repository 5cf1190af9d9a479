"""The Inception of FID (Szegedy et al. 2015), without weights, to be drawn and saved as torch-fidelity's file."""

import io
from pathlib import Path

import torch
from torch import nn


class InceptionWeights:
    """torch-fidelity's extractor on the device "meta", in float32 as its file is; saved as a pipeline is saved.

    Attributes:
        components: what has weights, by name.
    """

    def __init__(self):
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        class Bare(FeatureExtractorInceptionV3):
            """The extractor insists on loading weights as it is made: it gets a file with none."""

            def load_state_dict(self, state_dict, *args, **options):
                if state_dict:
                    return super().load_state_dict(state_dict, *args, **options)

        nothing = io.BytesIO()
        torch.save({}, nothing)
        nothing.seek(0)
        with torch.device("meta"):
            model = Bare("inception", ["2048"], feature_extractor_weights_path=nothing)
        self.components: dict[str, nn.Module] = {"inception": model}

    def save_pretrained(self, folder: Path) -> None:
        """Write the state dict under the name of torch-fidelity's file; torch.load(weights_only=True) reads it."""
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

        folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.components["inception"].state_dict(), folder / URL_INCEPTION_V3.rpartition("/")[2])
