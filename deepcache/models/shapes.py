"""What a checkpoint costs, told from its architecture alone where its weights are not here yet."""

from pathlib import Path

from torch import nn

from deepcache.errors import DeepCacheError
from deepcache.metrics.macs import branches_macs
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.results.plan import GIGA, Shape
from deepcache.sampling.families import FAMILIES

FP32 = 4  # bytes of a weight


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

    architecture = entry.get("architecture")
    if architecture in RANDOM:
        pipeline = RANDOM[architecture](architecture, entry.get("sample_size"))
    elif Path(entry.get("folder", ""), "model_index.json").is_file():
        from diffusers import DiffusionPipeline

        pipeline = DiffusionPipeline.from_pretrained(entry["folder"])
    else:
        raise DeepCacheError(
            f"checkpoints.{name}.architecture: needed to plan, one of {', '.join(RANDOM)}: the checkpoint is not here"
        )
    parts = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    size = sum(parameter.numel() for part in parts for parameter in part.parameters()) * FP32 / GIGA
    unet = pipeline.components.get("unet")
    if unet is None:
        return Shape(0.0, {}, 0, size)
    tokens = FAMILIES[type(pipeline).__name__].context_tokens
    full, shallow = branches_macs(unet, sorted(branches), dummy_inputs(unet, 1, None, unet.device, tokens=tokens))
    return Shape(full, shallow, _image_bytes(pipeline), size)


def _image_bytes(pipeline) -> int:
    """Of one sample: a latent model's first stage enlarges it by its levels."""
    unet, first_stage = pipeline.unet, getattr(pipeline, "vae", None) or getattr(pipeline, "vqvae", None)
    if first_stage is None:
        return unet.config.sample_size**2 * unet.config.in_channels
    side = unet.config.sample_size * 2 ** (len(first_stage.config.block_out_channels) - 1)
    return side**2 * first_stage.config.out_channels
