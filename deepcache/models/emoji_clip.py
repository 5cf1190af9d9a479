"""`emoji-clip`: EfficientNet-Lite0 sees, MiniLM reads, both frozen; two linear maps meet, as CLIP's towers do.

Its scores are not CLIP scores: they compare with each other alone.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from deepcache.errors import DeepCacheError, reason
from deepcache.files import sha256, write_json
from deepcache.models import efficientnet, minilm
from deepcache.models.efficientnet import EfficientNetLite0
from deepcache.models.minilm import MiniLM
from deepcache.package_weights import package_folder

WIDTH = 128
TOWERS = (efficientnet.PACKAGE, minilm.PACKAGE)


class EmojiClip(nn.Module):
    """The two maps, with embeddings of the texts that they were trained on, so that scoring those needs no MiniLM.

    Args:
        prompts: those texts; their embeddings are the buffer `read`, shape (len(prompts), 128).
        towers: SHA-256 of the weights that the frozen networks must have, by package; default: they are taken as they
            are, to be trained with.
    """

    def __init__(self, prompts: list[str], towers: dict[str, str] | None = None):
        super().__init__()
        self.image_head = nn.Linear(efficientnet.POOLED, WIDTH)
        self.text_head = nn.Linear(minilm.WIDTH, WIDTH)
        self.logit_scale = nn.Parameter(torch.tensor(2.6))
        self.register_buffer("mean", torch.zeros(efficientnet.POOLED))  # of the features of real pictures
        self.register_buffer("spread", torch.ones(efficientnet.POOLED))
        self.register_buffer("read", torch.zeros(len(prompts), WIDTH))
        self.row = {prompt: number for number, prompt in enumerate(prompts)}
        self._towers = towers
        self._readers: list[MiniLM] = []  # loaded when a text is new

    def embed_features(self, features: torch.Tensor) -> torch.Tensor:
        """Embeddings of unit length, shape (B, 128), of EfficientNet's pooled features, shape (B, 1280)."""
        return F.normalize(self.image_head((features - self.mean) / self.spread))

    def embed_sentences(self, sentences: torch.Tensor) -> torch.Tensor:
        """Embeddings of unit length, shape (B, 128), of MiniLM's, shape (B, 384)."""
        return F.normalize(self.text_head(sentences))

    def encode_text(self, texts: list[str]) -> torch.Tensor:
        """Embeddings of unit length, shape (len(texts), 128); a text that is new needs MiniLM's package.

        Raises:
            DeepCacheError: if that is not installed, or has other weights.
        """
        new = [text for text in texts if text not in self.row]
        found = {}
        if new:
            if not self._readers:
                self.check_tower(minilm.PACKAGE)
                self._readers.append(MiniLM())
            found = dict(zip(new, self.embed_sentences(self._readers[0].embed(new).to(self.read.device)), strict=True))
        return torch.stack([found[text] if text in found else self.read[self.row[text]] for text in texts])

    def check_tower(self, place: str) -> None:
        """Raise a DeepCacheError unless a package has the weights that this was trained with."""
        if self._towers is not None and _weights_hash(place) != self._towers[place]:
            raise DeepCacheError(f"{place}: other weights than emoji-clip's: install what the lock names")

    def save_pretrained(self, folder: Path) -> None:
        """Write parameters (`model.safetensors`), prompts, and whose weights the towers have (`config.json`)."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: value.contiguous() for name, value in self.state_dict().items()}, folder / "model.safetensors")
        towers = {place: _weights_hash(place) for place in TOWERS}
        write_json(
            folder / "config.json", {"_class_name": type(self).__name__, "towers": towers, "prompts": list(self.row)}
        )

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> tuple["EmojiClip", EfficientNetLite0]:
        """The maps, float32, and the network that sees, both in evaluation mode.

        Raises:
            DeepCacheError: if the folder is damaged, or a tower is not installed or another.
        """
        folder = Path(folder)
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            model = cls(config["prompts"], {place: config["towers"][place] for place in TOWERS})
            model.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise DeepCacheError(f"{folder}: not emoji-clip ({reason(error)}): get it again") from error
        model.check_tower(efficientnet.PACKAGE)
        return model.float().requires_grad_(False).eval(), EfficientNetLite0(package_folder(efficientnet.PACKAGE))


def holds_emoji_clip(folder: Path) -> bool:
    """Whether a folder says that it is one."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("_class_name") == EmojiClip.__name__


def _weights_hash(place: str) -> str:
    """SHA-256 of the first file of weights in a package's folder."""
    files = sorted(path for path in package_folder(place).iterdir() if path.suffix in (".pth", ".safetensors"))
    if not files:
        raise DeepCacheError(f"{place}: holds no weights: install what the lock names")
    return sha256(files[0])
