"""`digits-clip`: an open_clip model small enough for digits, which scores how well an image fits its prompt."""

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from deepcache.models.digits_sd import CONTEXT, VOCABULARY_SIZE, digits_tokenizer
from deepcache.models.small_stable_diffusion import IMAGE_SIZE

# open_clip's settings; the name of a tokenizer says that one lies in the model's folder.
CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": IMAGE_SIZE, "patch_size": 4, "width": 64, "head_width": 16, "layers": 3},
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": VOCABULARY_SIZE,
        "hf_tokenizer_name": "digits-clip",
        "width": 64,
        "heads": 4,
        "layers": 2,
    },
}
PREPROCESSING = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "shortest"}


def digits_clip() -> nn.Module:
    """The model with random weights, as open_clip builds it: `encode_image`, `encode_text`, `logit_scale`."""
    import open_clip

    text = {key: value for key, value in CONFIG["text_cfg"].items() if key != "hf_tokenizer_name"}
    return open_clip.CLIP(CONFIG["embed_dim"], CONFIG["vision_cfg"], text)


def save_clip(model: nn.Module, folder: Path) -> None:
    """Write a folder that open_clip reads as `local-dir:FOLDER`: settings, weights, tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"model_cfg": CONFIG, "preprocess_cfg": PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    digits_tokenizer().save_pretrained(folder)
