"""What a checkpoint costs, told from its architecture alone where its weights are not here yet."""

import json
from pathlib import Path

from torch import nn

from deepcache.cost.macs import branches_macs
from deepcache.errors import DeepCacheError
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.input_size import height_and_width, num_frames
from deepcache.sampling.families import FAMILIES, bare_unet
from deepcache.suite.estimate import GIGA, Shape

FP32 = 4  # bytes of a weight
FIRST_STAGES = ("vae", "vqvae")


def checkpoint_shape(name: str, entry: dict, branches: set[int]) -> Shape:
    """Count a checkpoint of the config.

    Args:
        name: of the checkpoint.
        entry: its entry; a known `architecture` is built without weights, else the `folder` is read.
        branches: those whose shallow pass is counted.

    Raises:
        DeepCacheError: if there is neither.
    """
    from deepcache.models.random_weights import RANDOM

    folder = Path(entry.get("folder", ""))
    if entry.get("architecture") in RANDOM:
        pipeline = RANDOM[entry["architecture"]](entry["architecture"], entry.get("sample_size"))
        parts = pipeline.components
        size = sum(
            value.numel() for part in parts.values() if isinstance(part, nn.Module) for value in part.parameters()
        )
        if "unet" not in parts:
            return Shape(0.0, {}, 0, size * FP32 / GIGA)
        unet, tokens = parts["unet"], FAMILIES[type(pipeline).__name__].context_tokens
        first_stage = next((dict(parts[part].config) for part in FIRST_STAGES if part in parts), None)
    elif (folder / "model_index.json").is_file():
        unet, tokens = bare_unet(folder)
        size = sum(parameter.numel() for parameter in unet.parameters())
        configs = [folder / part / "config.json" for part in FIRST_STAGES]
        first_stage = next((json.loads(path.read_text(encoding="utf-8")) for path in configs if path.is_file()), None)
    else:
        raise DeepCacheError(
            f"checkpoints.{name}.architecture: needed for the estimate, as the checkpoint is not here; one of "
            f"{', '.join(RANDOM)}"
        )
    full, shallow = branches_macs(unet, sorted(branches), dummy_inputs(unet, 1, None, unet.device, tokens=tokens))
    return Shape(full, shallow, _image_bytes(unet.config, first_stage), size * FP32 / GIGA)


def _image_bytes(unet, first_stage: dict | None) -> int:
    """Of one sample, a video's being all its frames: a latent model's first stage enlarges it by its levels."""
    height, width = height_and_width(unet)
    pixels = height * width * (num_frames(unet) or 1)
    if first_stage is None:
        return pixels * unet.in_channels
    factor = 2 ** (len(first_stage["block_out_channels"]) - 1)
    return pixels * factor**2 * first_stage["out_channels"]
