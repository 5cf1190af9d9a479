"""Inputs of the right shapes for a U-Net, out of its config: enough to count it, to time it or to trace it."""

import functools

import torch
from torch import nn

from deepcache.errors import DeepCacheError
from deepcache.models.input_size import height_and_width, num_frames

CLIP_TOKENS = 77


def dummy_inputs(
    unet: nn.Module,
    batch: int,
    resolution: int | tuple[int, int] | None,
    device: str | torch.device,
    *,
    tokens: int | None = None,
) -> dict:
    """Make keyword arguments for a U-Net's forward out of its config; all zeros.

    Args:
        unet: a diffusers U-Net for images: UNet2DModel, UNet2DConditionModel (class labels, text of SD and SDXL); or
            for videos that start from a picture: UNetSpatioTemporalConditionModel.
        batch: B.
        resolution: side, or (H, W), of the U-Net's input; None: as its config says.
        device: where to make them.
        tokens: L, the length of the context where the U-Net attends to one; the config does not tell it. Default: 77,
            CLIP's; of videos 1, the picture.

    Returns:
        `sample` (B, C, H, W), of videos (B, F, C, H, W) with as many frames as its config says, `timestep` (B,) and,
        where the U-Net takes them, `encoder_hidden_states` (B, L, D), `class_labels`, `timestep_cond`,
        `added_cond_kwargs` and `added_time_ids`.

    Raises:
        DeepCacheError: if the config tells no size, or asks for a conditioning that is not known here.
    """
    config = getattr(unet, "config", None)
    if config is None or not hasattr(config, "in_channels"):
        raise DeepCacheError(f"{type(unet).__name__} has no config of a diffusers U-Net: its inputs are not known")
    parameter = next(unet.parameters())
    zeros = functools.partial(torch.zeros, dtype=parameter.dtype, device=device)
    frames = num_frames(config)
    inputs = {
        "sample": zeros(batch, *([frames] if frames else []), config.in_channels, *_size(resolution, config)),
        "timestep": zeros(batch, dtype=torch.long),
    }
    if getattr(config, "cross_attention_dim", None) is not None:
        inputs["encoder_hidden_states"] = zeros(batch, tokens or (1 if frames else CLIP_TOKENS), _context_width(config))
    if frames:
        numbers = config.projection_class_embeddings_input_dim // config.addition_time_embed_dim
        inputs["added_time_ids"] = zeros(batch, numbers)
    if getattr(unet, "class_embedding", None) is not None:
        inputs["class_labels"] = _class_labels(unet, batch, zeros)
    if getattr(config, "time_cond_proj_dim", None) is not None:
        inputs["timestep_cond"] = zeros(batch, config.time_cond_proj_dim)
    if getattr(config, "addition_embed_type", None) is not None:
        inputs["added_cond_kwargs"] = _added_conditions(config, batch, zeros)
    return inputs


def _size(resolution: int | tuple[int, int] | None, config) -> tuple[int, int]:
    size = resolution if resolution is not None else height_and_width(config)
    if size is None:
        raise DeepCacheError("resolution must be given: this U-Net's config has no sample_size")
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise DeepCacheError(f"resolution must be at least 1, not {resolution}")
    return height, width


def _context_width(config) -> int:
    kind = getattr(config, "encoder_hid_dim_type", None)
    if kind not in (None, "text_proj"):
        raise DeepCacheError(f"encoder_hid_dim_type {kind!r}: give count_ops_and_params this U-Net's inputs yourself")
    width = config.encoder_hid_dim if kind == "text_proj" else config.cross_attention_dim
    return width if isinstance(width, int) else width[0]  # levels may attend to contexts of the same width only


def _class_labels(unet: nn.Module, batch: int, zeros) -> torch.Tensor:
    kind = unet.config.class_embed_type
    if kind is None:
        return zeros(batch, dtype=torch.long)
    if kind == "timestep":
        return zeros(batch)
    if kind == "identity":
        return zeros(batch, unet.time_embedding.linear_2.out_features)
    return zeros(batch, unet.config.projection_class_embeddings_input_dim)  # projection, simple_projection


def _added_conditions(config, batch: int, zeros) -> dict[str, torch.Tensor]:
    if config.addition_embed_type == "text":  # made from the context
        return {}
    if config.addition_embed_type != "text_time":
        kind = config.addition_embed_type
        raise DeepCacheError(f"addition_embed_type {kind!r}: give count_ops_and_params this U-Net's inputs yourself")
    numbers = 6  # SDXL's two sizes and a crop; the embeddings of these and of the pooled text are concatenated
    pooled = config.projection_class_embeddings_input_dim - numbers * config.addition_time_embed_dim
    return {"text_embeds": zeros(batch, pooled), "time_ids": zeros(batch, numbers)}
