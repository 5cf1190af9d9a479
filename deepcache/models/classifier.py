"""The digits classifier: its features take the place of Inception's in the digits suite."""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from deepcache.errors import DeepCacheError, reason

INPUT_SIZE = 16
NUM_FEATURES = 48
NUM_CLASSES = 10
EARLY_LAYERS = 4  # of the body: up to the first map of half the side, 24 channels of 8x8
EARLY_CHANNELS = 2


class DigitsClassifier(nn.Module):
    """A small convolutional network for digits.

    Its 48 pooled features describe an image as Inception's 2,048 do in the paper's FID. Each is scaled to unit variance
    over the digits, so the scale of the FID does not depend on how the classifier was trained.
    """

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(24, 24, 3, padding=1, stride=2),
            nn.SiLU(),
            nn.Conv2d(24, NUM_FEATURES, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(NUM_FEATURES, NUM_FEATURES, 3, padding=1, stride=2),
            nn.SiLU(),
            nn.Conv2d(NUM_FEATURES, NUM_FEATURES, 3, padding=1),
            nn.SiLU(),
        )
        self.scale = nn.BatchNorm1d(NUM_FEATURES, eps=1e-8, affine=False)
        self.head = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Pooled and scaled features, shape (B, 48).

        Args:
            images: uint8, shape (B, 1 or 3, H, W); colour is averaged to grey, other sizes are resized to 16x16.
        """
        return self.scale(self.body(_as_input(images)).mean(dim=(2, 3)))

    def spatial(self, images: torch.Tensor) -> torch.Tensor:
        """Where things are: two channels of an early 8x8 map, pixel by pixel, shape (B, 128), as sFID needs them.

        They take the place of the 7 of 192 channels of Inception's 17x17 map.

        Args:
            images: as in `features`.
        """
        early = self.body[:EARLY_LAYERS](_as_input(images))
        return early[:, :EARLY_CHANNELS].permute(0, 2, 3, 1).flatten(1)

    @torch.no_grad()
    def standardise(self, images: torch.Tensor) -> None:
        """Set the scale so that each feature has mean 0 and variance 1 over these images (uint8, (N, C, H, W))."""
        self.train()
        self.scale.momentum = None  # the plain average over batches; there is one
        self.scale.reset_running_stats()
        self.features(images)
        self.eval()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, shape (B, 10), of uint8 images (see `features`)."""
        return self.head(self.features(images))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `model.safetensors` (in the parameters' precision) and `config.json` to the folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state_dict(), folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"_class_name": type(self).__name__}) + "\n", encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "DigitsClassifier":
        """Load what `save_pretrained` wrote, in float32 and evaluation mode; DeepCacheError where that is not there."""
        model = cls()
        try:
            model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
        except (OSError, RuntimeError, SafetensorError) as error:
            raise DeepCacheError(f"{folder}: not the digits classifier ({reason(error)}): get it again") from error
        return model.float().eval()


def _as_input(images: torch.Tensor) -> torch.Tensor:
    """Grey, 16x16 pixels, from -1 to 1."""
    x = images.float().mean(dim=1, keepdim=True) / 127.5 - 1
    if x.shape[-2:] != (INPUT_SIZE, INPUT_SIZE):
        x = F.interpolate(x, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", antialias=True, align_corners=False)
    return x
