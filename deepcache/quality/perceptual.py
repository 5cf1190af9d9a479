"""LPIPS: how far apart two images look to a network (Zhang et al. 2018).

At each of several layers the feature vectors of every pixel are scaled to length 1; the squared differences of the two
images' vectors are summed over the channels, each with its weight, averaged over the pixels and summed over the layers.
"""

import json
import pickle
import warnings
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from lpips import LPIPS, normalize_tensor, spatial_average
from torch import nn

from deepcache.errors import DeepCacheError, reason
from deepcache.files import UNREADABLE
from deepcache.fitting import Fitting
from deepcache.models import efficientnet
from deepcache.models.classifier import DigitsClassifier
from deepcache.precision import exact

SMALLEST, ENLARGED = 32, 64  # pixels: below the former AlexNet's last layers have no pixel left


class Perceptual(nn.Module, ABC):
    """A network that sees images, and LPIPS' distance by it.

    Attributes:
        kind: which network: distances by different ones cannot be compared.
    """

    kind: str

    @abstractmethod
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Distances, shape (B, 1, 1, 1), of images of 0 to 255, float32, shape (B, 1 or 3, H, W)."""

    def distances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Distance of each image of `a` to the one of `b` at its place.

        Args:
            a: uint8, shape (B, H, W, 1 or 3).
            b: uint8, the same shape.

        Returns:
            float64, shape (B,); 0 for identical images.

        Raises:
            DeepCacheError: if the shapes differ.
        """
        if a.shape != b.shape:
            raise DeepCacheError(f"images that are compared must have one shape, not {a.shape} and {b.shape}")
        return np.concatenate(list(Fitting(self._distances)(a, b)))

    def _distances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        device = next(self.parameters()).device
        pixels = [torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(device).float() for images in (a, b)]
        with torch.inference_mode(), exact():  # so the same in every run
            return self(*pixels).flatten().double().cpu().numpy()


class AlexNetDistance(Perceptual):
    """LPIPS as its authors publish it, version 0.1: AlexNet's five layers, channels weighted by human judgement.

    Grey images become colour. Where the shorter side is below 32 pixels, images are enlarged (bilinear) until it has
    64, since AlexNet's strides leave nothing of smaller ones.

    Args:
        state: torchvision's state dict of AlexNet; the package brings the weights of the channels.
    """

    kind = "alexnet"

    def __init__(self, state: dict[str, torch.Tensor]):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the package calls torchvision in an older way
            self.lpips = LPIPS(net="alex", pnet_rand=True, verbose=False)
        # The package spreads torchvision's `features` over slices, under the same numbers.
        trunk = self.lpips.net
        trunk.load_state_dict({key: state[f"features.{key.partition('.')[2]}"] for key in trunk.state_dict()})

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # noqa: D102
        return self.lpips(_for_alexnet(a), _for_alexnet(b))


class UnweightedDistance(Perceptual):
    """LPIPS' formula with weight 1 for every channel, which the package calls the baseline (`lpips=False`).

    It is for networks for which there are no human judgements.
    """

    @abstractmethod
    def maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The network's maps of images, as in `forward`, each of shape (B, C, h, w)."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:  # noqa: D102
        pairs = zip(map(normalize_tensor, self.maps(a)), map(normalize_tensor, self.maps(b)), strict=True)
        return sum(spatial_average(((x - y) ** 2).sum(dim=1, keepdim=True)) for x, y in pairs)


class DigitsDistance(UnweightedDistance):
    """On the five maps of the digits classifier, behind each SiLU.

    The classifier averages colour to grey and resizes images to 16x16.

    Args:
        classifier: the network.
    """

    kind = "digits-classifier"

    def __init__(self, classifier: DigitsClassifier):
        super().__init__()
        self.classifier = classifier
        self._maps: list[torch.Tensor] = []
        for layer in classifier.body:
            if isinstance(layer, nn.SiLU):
                layer.register_forward_hook(lambda layer, inputs, output: self._maps.append(output))

    def maps(self, images: torch.Tensor) -> list[torch.Tensor]:  # noqa: D102
        self._maps.clear()
        self.classifier.features(images)
        return self._maps.copy()


class EfficientNetDistance(UnweightedDistance):
    """On the five stages of EfficientNet-Lite0.

    Args:
        network: with weights of ImageNet.
    """

    kind = efficientnet.KIND

    def __init__(self, network: efficientnet.EfficientNetLite0):
        super().__init__()
        self.network = network

    def maps(self, images: torch.Tensor) -> list[torch.Tensor]:  # noqa: D102
        return self.network.stages(images)


def load_perceptual(folder: str | Path, device: torch.device) -> Perceptual:
    """Load the network that a folder holds, in evaluation mode; nothing is downloaded and no pickled code is run.

    Args:
        folder: one file of torchvision's AlexNet, such as alexnet-owt-7be5be79.pth, or of EfficientNet-Lite0, which has
            that name; or the digits classifier (config.json, model.safetensors).
        device: where to compute.

    Raises:
        DeepCacheError: if it holds none of them.
    """
    folder = Path(folder)
    if (folder / "config.json").is_file():
        model = _digits(folder)
    elif any(folder.glob(f"{efficientnet.KIND}*.pth")):
        model = EfficientNetDistance(efficientnet.EfficientNetLite0(folder))
    else:
        model = _alexnet(folder)
    return model.requires_grad_(False).eval().to(device)


def _digits(folder: Path) -> DigitsDistance:
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["_class_name"]
        if kind != DigitsClassifier.__name__:
            raise ValueError(f"of the class {kind}")
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{folder}: not the digits classifier ({reason(error)}): get it again") from error
    return DigitsDistance(DigitsClassifier.from_pretrained(folder))


def _alexnet(folder: Path) -> AlexNetDistance:
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        found = ", ".join(path.name for path in files) or "none"
        raise DeepCacheError(f"{folder}: must hold config.json, or one file of AlexNet's weights (*.pth), not {found}")
    try:
        return AlexNetDistance(torch.load(files[0], map_location="cpu", weights_only=True))
    except pickle.UnpicklingError as error:
        raise DeepCacheError(f"{files[0]}: holds more than weights, and nothing in it is run: get it again") from error
    except (*UNREADABLE, RuntimeError, LookupError, TypeError, AttributeError) as error:
        raise DeepCacheError(f"{files[0]}: not torchvision's AlexNet ({reason(error)}): get it again") from error


def _for_alexnet(images: torch.Tensor) -> torch.Tensor:
    """Colour, -1 to 1, large enough; shape (B, 3, H, W)."""
    x = (images / 127.5 - 1).expand(-1, 3, -1, -1)
    height, width = x.shape[-2:]
    if min(height, width) < SMALLEST:
        factor = ENLARGED / min(height, width)
        size = (round(height * factor), round(width * factor))
        x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    return x
