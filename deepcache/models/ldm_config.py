"""Sizes of a CompVis latent-diffusion checkpoint, read from its tensors' shapes, and the keys that such a model has.

The names are those of the original classes (Rombach et al. 2022; CompVis/latent-diffusion): `UNetModel` under
`model.diffusion_model`, the VQ first stage under `first_stage_model`, `ClassEmbedder` under `cond_stage_model`.
"""

from collections.abc import Mapping

from deepcache.errors import DeepCacheError
from deepcache.models import state_dicts

UNET, FIRST_STAGE, CLASSES = "model.diffusion_model.", "first_stage_model.", "cond_stage_model."
CLASS_KEY = f"{CLASSES}embedding.weight"
CODEBOOK_KEY = f"{FIRST_STAGE}quantize.embedding.weight"

Shapes = Mapping[str, tuple[int, ...]]


def unet_config(shapes: Shapes, latent_size: int) -> dict:
    """Settings of the U-Net for diffusers' UNet2DConditionModel.

    Args:
        shapes: shape of each tensor of the checkpoint by key.
        latent_size: height and width of the latents, which no tensor tells.

    Raises:
        DeepCacheError: if a key that tells a size is missing, or the levels differ in their number of layers.
    """
    levels: list[list[int]] = [[]]
    for block in range(1, _count(shapes, f"{UNET}input_blocks.")):
        if _any(shapes, f"{UNET}input_blocks.{block}.0.op."):  # a downsampler ends the level
            levels.append([])
        else:
            levels[-1].append(block)
    layers = {len(level) for level in levels}
    if len(layers) != 1 or layers == {0}:
        raise DeepCacheError(
            f"{UNET}input_blocks: the levels have {[len(level) for level in levels]} layers, not alike"
        )
    attention = [_any(shapes, f"{UNET}input_blocks.{level[0]}.1.") for level in levels]
    context = next((key for key in shapes if key.startswith(UNET) and key.endswith("attn2.to_k.weight")), None)
    if context is None:
        raise DeepCacheError(f"{UNET}*: no layer attends to the class (attn2.to_k.weight): not LDM-4-G")
    return {
        "sample_size": latent_size,
        "in_channels": _size(shapes, f"{UNET}input_blocks.0.0.weight", 1),
        "out_channels": _size(shapes, f"{UNET}out.2.weight", 0),
        "layers_per_block": layers.pop(),
        "block_out_channels": tuple(
            _size(shapes, f"{UNET}input_blocks.{level[0]}.0.emb_layers.1.weight", 0) for level in levels
        ),
        "down_block_types": tuple("CrossAttnDownBlock2D" if here else "DownBlock2D" for here in attention),
        "up_block_types": tuple("CrossAttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attention)),
        "cross_attention_dim": _size(shapes, context, 1),
        "attention_head_dim": 1,  # one head: of this class's settings, the one that means the number of heads
    }


def vq_config(shapes: Shapes, latent_size: int, scale_factor: float = 1.0) -> dict:
    """Settings of the first stage for diffusers' VQModel.

    Args:
        shapes: shape of each tensor of the checkpoint by key.
        latent_size: height and width of the latents, which no tensor tells.
        scale_factor: what latents are multiplied by before diffusion.

    Raises:
        DeepCacheError: if a key that tells a size is missing.
    """
    levels = _count(shapes, f"{FIRST_STAGE}encoder.down.")
    if levels == 0:
        raise DeepCacheError(f"{FIRST_STAGE}encoder.down.*: no such key, so no first stage: not LDM-4-G")
    return {
        "sample_size": latent_size * 2 ** (levels - 1),
        "in_channels": _size(shapes, f"{FIRST_STAGE}encoder.conv_in.weight", 1),
        "out_channels": _size(shapes, f"{FIRST_STAGE}decoder.conv_out.weight", 0),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "block_out_channels": tuple(
            _size(shapes, f"{FIRST_STAGE}encoder.down.{level}.block.0.conv1.weight", 0) for level in range(levels)
        ),
        "layers_per_block": _count(shapes, f"{FIRST_STAGE}encoder.down.0.block."),
        "latent_channels": _size(shapes, f"{FIRST_STAGE}encoder.conv_out.weight", 0),
        "num_vq_embeddings": _size(shapes, CODEBOOK_KEY, 0),
        "vq_embed_dim": _size(shapes, CODEBOOK_KEY, 1),
        "scaling_factor": scale_factor,
    }


def class_config(shapes: Shapes) -> dict:
    """Settings of the class embedding: rows (classes and the unconditional one) and columns.

    Raises:
        DeepCacheError: if the checkpoint has no class embedding.
    """
    return {"num_embeddings": _size(shapes, CLASS_KEY, 0), "embedding_dim": _size(shapes, CLASS_KEY, 1)}


def check_keys(shapes: Shapes, unet: dict, vq: dict) -> None:
    """Check that the checkpoint has the keys of a model of these settings and no others.

    Args:
        shapes: shape of each tensor of the checkpoint by key, without those that are not the model's.
        unet: as from `unet_config`.
        vq: as from `vq_config`.

    Raises:
        DeepCacheError: if keys are missing or unexpected, with the first few names and the counts.
    """
    expected = [UNET + key for key in _unet_keys(unet)] + [FIRST_STAGE + key for key in _vq_keys(vq)] + [CLASS_KEY]
    state_dicts.check_keys(shapes, expected, "an LDM-4-G")


def _unet_keys(config: dict) -> list[str]:
    channels, layers = config["block_out_channels"], config["layers_per_block"]
    attention = ["CrossAttn" in kind for kind in config["down_block_types"]]
    keys = _affine("time_embed.0", "time_embed.2", "input_blocks.0.0")
    width, skips, block = channels[0], [channels[0]], 1  # channels here; channels of the skip tensors so far
    for level, wanted in enumerate(channels):
        for _ in range(layers):
            keys += _unet_layer(f"input_blocks.{block}", width != wanted, attention[level])
            width, block = wanted, block + 1
            skips.append(width)
        if level < len(channels) - 1:
            keys += _affine(f"input_blocks.{block}.0.op")
            skips.append(width)
            block += 1
    keys += _unet_layer("middle_block", False, True) + _resnet("middle_block.2", False)
    block = 0
    for level in reversed(range(len(channels))):
        for layer in range(layers + 1):
            keys += _unet_layer(f"output_blocks.{block}", width + skips.pop() != channels[level], attention[level])
            if layer == layers and level > 0:
                keys += _affine(f"output_blocks.{block}.{1 + attention[level]}.conv")  # upsampler
            width, block = channels[level], block + 1
    return keys + _affine("out.0", "out.2")


def _unet_layer(name: str, shortcut: bool, attention: bool) -> list[str]:
    return _resnet(f"{name}.0", shortcut) + (_transformer(f"{name}.1") if attention else [])


def _resnet(name: str, shortcut: bool) -> list[str]:
    parts = ["in_layers.0", "in_layers.2", "emb_layers.1", "out_layers.0", "out_layers.3"]
    return _affine(*(f"{name}.{part}" for part in parts + ["skip_connection"] * shortcut))


def _transformer(name: str) -> list[str]:
    block = f"{name}.transformer_blocks.0"
    parts = ["norm1", "norm2", "norm3", "attn1.to_out.0", "attn2.to_out.0", "ff.net.0.proj", "ff.net.2"]
    keys = _affine(*(f"{name}.{part}" for part in ("norm", "proj_in", "proj_out")), *(f"{block}.{x}" for x in parts))
    return keys + [f"{block}.attn{number}.to_{role}.weight" for number in (1, 2) for role in "qkv"]


def _vq_keys(config: dict) -> list[str]:
    channels, layers = config["block_out_channels"], config["layers_per_block"]
    keys = ["quantize.embedding.weight", *_affine("quant_conv", "post_quant_conv")]
    for half in ("encoder", "decoder"):
        keys += _affine(*(f"{half}.{layer}" for layer in ("conv_in", "norm_out", "conv_out")))
        keys += _vq_resnet(f"{half}.mid.block_1", False) + _vq_resnet(f"{half}.mid.block_2", False)
        keys += _affine(*(f"{half}.mid.attn_1.{part}" for part in ("norm", "q", "k", "v", "proj_out")))
    width = channels[0]
    for level, wanted in enumerate(channels):
        for layer in range(layers):
            keys += _vq_resnet(f"encoder.down.{level}.block.{layer}", width != wanted)
            width = wanted
        if level < len(channels) - 1:
            keys += _affine(f"encoder.down.{level}.downsample.conv")
    for level in reversed(range(len(channels))):
        for layer in range(layers + 1):
            keys += _vq_resnet(f"decoder.up.{level}.block.{layer}", width != channels[level])
            width = channels[level]
        if level > 0:
            keys += _affine(f"decoder.up.{level}.upsample.conv")
    return keys


def _vq_resnet(name: str, shortcut: bool) -> list[str]:
    return _affine(*(f"{name}.{part}" for part in ["norm1", "conv1", "norm2", "conv2"] + ["nin_shortcut"] * shortcut))


def _affine(*names: str) -> list[str]:
    return [f"{name}.{part}" for name in names for part in ("weight", "bias")]


def _any(shapes: Shapes, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in shapes)


def _count(shapes: Shapes, prefix: str) -> int:
    """One more than the largest number that follows the prefix; a gap shows as missing keys later."""
    numbers = {key.removeprefix(prefix).partition(".")[0] for key in shapes if key.startswith(prefix)}
    return max((int(number) + 1 for number in numbers if number.isdecimal()), default=0)


def _size(shapes: Shapes, key: str, dimension: int) -> int:
    if key not in shapes:
        raise DeepCacheError(f"keys of the state dict do not make an LDM-4-G: missing: {key}, which tells a size")
    if len(shapes[key]) <= dimension:
        raise DeepCacheError(f"{key}: shape {tuple(shapes[key])} has too few dimensions")
    return shapes[key][dimension]
