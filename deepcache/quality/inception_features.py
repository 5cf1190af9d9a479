"""Inception's features, computed by torch-fidelity, with each evaluator's way of resizing."""

import io
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from deepcache.errors import DeepCacheError, reason
from deepcache.quality.clean import clean_resize
from deepcache.quality.feature_extractor import FeatureExtractor

SUFFIXES = (".pth", ".safetensors")
SPATIAL_CHANNELS = 7  # of the 192 that the layer has
# What torch-fidelity calls them; the spatial ones it does not have, but this one lies just behind them.
OWN_NAMES = {"pool": "2048", "spatial": "768", "logits": "logits_unbiased", "clean": "2048"}


class InceptionADM(FeatureExtractor):
    """Inception as ADM's evaluator runs it (Table 1): TensorFlow 1's bilinear resizing to 299 pixels.

    - `pool`: 2,048 numbers, behind the last pooling;
    - `spatial`: 2,023 numbers, the first 7 of the 192 channels of the 1x1 branch of Mixed_6d (17x17, behind its ReLU),
      pixel by pixel with the channels innermost, as TensorFlow has them and as mu_s and sigma_s are stored;
    - `logits`: 1,008 numbers, without the last layer's bias;
    - `clean`: 2,048 numbers, `pool` of the images as clean-fid resizes them to 299 pixels. clean-fid takes them to
      (x - 128) / 128 before the same weights, as torch-fidelity does, so the resizing is all that differs; it costs
      a second pass.

    Args:
        name: as torch-fidelity wants it.
        features_list: which features.
        checkpoint: folder with one file of weights: torch-fidelity's state dict, .pth or .safetensors.
    """

    POOLED = 2048

    def __init__(self, name: str, features_list: Sequence[str], *, checkpoint: Path, **kwargs):
        super().__init__(name, features_list)
        self._own_names = list(dict.fromkeys(OWN_NAMES[feature] for feature in features_list))
        self.inception = _load(Path(checkpoint), name, self._own_names)
        self._pixels: torch.Tensor | None = None
        self._spatial: torch.Tensor | None = None
        self.inception.Conv2d_1a_3x3.register_forward_pre_hook(self._replace_pixels)
        if "spatial" in features_list:
            self.inception.Mixed_6d.branch1x1.register_forward_hook(self._keep_spatial)

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """Names of the features."""
        return tuple(OWN_NAMES)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Features of uint8 images, shape (B, 1 or 3, H, W), as a tuple of tensors, (B, D), in the order asked for."""
        found = {} if set(self.features_list) == {"clean"} else self._run(images)
        if "clean" in self.features_list:
            side = self.inception.INPUT_IMAGE_SIZE
            found["clean"] = self._run(images, (clean_resize(images, side) - 128) / 128)["clean"]
        return tuple(found[feature] for feature in self.features_list)

    def _run(self, images: torch.Tensor, pixels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """One pass over `pixels`, shape (B, 3, 299, 299), or else over what torch-fidelity makes of the images."""
        if pixels is not None:
            # torch-fidelity's own resizing does not reach the first layer then, so one pixel of each is enough.
            self._pixels, images = pixels, images[..., :1, :1]
        own = dict(zip(self._own_names, self.inception(images.expand(-1, 3, -1, -1)), strict=True))
        found = {feature: own[OWN_NAMES[feature]] for feature in self.features_list}
        if "spatial" in found:
            found["spatial"] = self._spatial
        self._pixels = self._spatial = None
        return found

    def _replace_pixels(self, layer: torch.nn.Module, inputs: tuple) -> tuple | None:
        return None if self._pixels is None else (self._pixels,)

    def _keep_spatial(self, layer: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        self._spatial = output[:, :SPATIAL_CHANNELS].permute(0, 2, 3, 1).flatten(1)


class InceptionPytorchFid(InceptionADM):
    """Inception as pytorch-fid runs it (Table 2): bilinear resizing about pixel centres, then from 0..1 to -1..1.

    The features are those of InceptionADM with the same weights; only the pixels that the network sees differ.
    """

    def _run(self, images: torch.Tensor, pixels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        if pixels is None:
            side = self.inception.INPUT_IMAGE_SIZE
            resized = F.interpolate(images.float() / 255, size=(side, side), mode="bilinear", align_corners=False)
            pixels = (2 * resized - 1).expand(-1, 3, -1, -1)
        return super()._run(images, pixels)


def _load(folder: Path, name: str, own_names: list[str]) -> FeatureExtractorInceptionV3:
    """torch-fidelity's network with the weights in a folder; it would download them, or unpickle them unchecked."""
    path = _weights_file(folder)
    try:
        safe = path.suffix == ".safetensors"
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise DeepCacheError(f"{path}: not readable as weights ({reason(error)}): get it again") from error
    except pickle.UnpicklingError as error:
        raise DeepCacheError(f"{path}: holds more than weights, and nothing in it is run: get it again") from error
    checked = io.BytesIO()
    torch.save(state, checked)
    checked.seek(0)
    try:
        return FeatureExtractorInceptionV3(name, own_names, feature_extractor_weights_path=checked)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise DeepCacheError(f"{path}: not torch-fidelity's Inception ({reason(error)})") from error


def _weights_file(folder: Path) -> Path:
    files = sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES)
    if len(files) != 1:
        found = ", ".join(path.name for path in files) or "none"
        raise DeepCacheError(f"{folder}: must hold one file of Inception's weights (*.pth, *.safetensors), not {found}")
    return files[0]
