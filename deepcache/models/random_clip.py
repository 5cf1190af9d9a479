"""open_clip's ViT-B-32 (Radford et al. 2021), without weights, to be drawn and saved as a folder that it reads."""

from pathlib import Path

import torch
from torch import nn

from deepcache.files import write_json

ARCHITECTURE = "ViT-B-32"


class ClipWeights:
    """The model on the device "meta", in fp16; saved as a pipeline is saved.

    Attributes:
        components: what has weights, by name.
    """

    def __init__(self):
        from open_clip import CLIP, get_model_config

        with torch.device("meta"):
            model = CLIP(**get_model_config(ARCHITECTURE)).half()
        self.components: dict[str, nn.Module] = {"clip": model}

    def save_pretrained(self, folder: Path) -> None:
        """Write the architecture and the weights; open_clip brings the tokenizer, and prepares images by default."""
        from open_clip import get_model_config
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / "open_clip_config.json", {"model_cfg": get_model_config(ARCHITECTURE)})
        save_file(self.components["clip"].state_dict(), folder / "open_clip_model.safetensors")
