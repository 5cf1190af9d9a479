"""AlexNet, the trunk of LPIPS (Zhang et al. 2018), without weights, to be drawn and saved as torchvision's file."""

from pathlib import Path

import torch
from torch import nn


class AlexNetWeights:
    """torchvision's AlexNet on the device "meta", in float32 as its file is; saved as a pipeline is saved.

    Attributes:
        components: what has weights, by name.
    """

    def __init__(self):
        from torchvision.models import alexnet

        with torch.device("meta"):
            model = alexnet()
        self.components: dict[str, nn.Module] = {"alexnet": model}

    def save_pretrained(self, folder: Path) -> None:
        """Write the state dict under the name of torchvision's file; torch.load(weights_only=True) reads it."""
        from torchvision.models import AlexNet_Weights

        folder.mkdir(parents=True, exist_ok=True)
        name = AlexNet_Weights.DEFAULT.url.rpartition("/")[2]
        torch.save(self.components["alexnet"].state_dict(), folder / name)
