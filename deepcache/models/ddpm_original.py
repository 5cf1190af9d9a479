"""From the original weights of DDPM (Ho et al. 2020) to diffusers' classes.

The authors' TensorFlow checkpoints (hojonathanho/diffusion) were converted by pesser/pytorch_diffusion, each to a bare
state dict in torch's pickle format, which is read here without running code. Its names are those of that code; the
weights of google/ddpm-cifar10-32, google/ddpm-ema-bedroom-256 and google/ddpm-ema-church-256 on the hub are the same
kind in diffusers' names. A file tells the layout but not the size of the images.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from deepcache.errors import DeepCacheError
from deepcache.models.ldm import read_state_dict
from deepcache.models.state_dicts import SHOWN, check_keys

if TYPE_CHECKING:
    from diffusers import DDPMPipeline

GROUPS = 32  # of every normalisation
IMAGE_SIZES = {4: 32, 6: 256}  # by the number of levels: CIFAR-10, LSUN
KIND = "the original DDPM"

# As google/ddpm-cifar10-32 has it. The authors' ancestral sampling adds the larger of two variances for CIFAR-10, and
# the smaller for LSUN.
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "clip_sample": True,
}
VARIANCES = {32: "fixed_large"}  # by the image size
OTHER_VARIANCE = "fixed_small"

# Parts of diffusers' names and the original's; the first that fits is taken.
RENAMED = {
    "time_embedding.linear_1": "temb.dense.0",
    "time_embedding.linear_2": "temb.dense.1",
    "conv_norm_out": "norm_out",
    "mid_block.resnets.0": "mid.block_1",
    "mid_block.attentions.0": "mid.attn_1",
    "mid_block.resnets.1": "mid.block_2",
    "resnets": "block",
    "attentions": "attn",
    "downsamplers.0": "downsample",
    "upsamplers.0": "upsample",
    "time_emb_proj": "temb_proj",
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
PART = re.compile(rf"(?<![^.])(?:{'|'.join(map(re.escape, RENAMED))})(?=\.)")


def load_original(path: str | Path, image_size: int | None = None) -> "DDPMPipeline":
    """Read the original weights as a diffusers pipeline, float32, on the CPU and in evaluation mode.

    Args:
        path: a state dict, bare or under the key `state_dict`, in torch's format or in safetensors (`*.safetensors`).
        image_size: see `convert`.

    Raises:
        DeepCacheError: if the file cannot be read without running code, or is no such model; its first words are the
            path.
    """
    try:
        return convert(read_state_dict(path), image_size)
    except DeepCacheError as error:
        raise DeepCacheError(f"{path}: {error}") from error


def convert(state_dict: Mapping[str, torch.Tensor], image_size: int | None = None) -> "DDPMPipeline":
    """Build diffusers' model from the original weights: every tensor is used, and none is added.

    Args:
        state_dict: the weights by their original names. May be on the device "meta".
        image_size: height and width of the images in pixels; None for that of the published model with as many levels.

    Raises:
        DeepCacheError: if keys are missing or unexpected, a tensor has another shape than its model's, or the image
            size is unknown or does not suit the levels.
    """
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    _check_tensors(state_dict)
    config = unet_config({key: tuple(value.shape) for key, value in state_dict.items()}, image_size)
    with torch.device("meta"):  # no memory for weights that are replaced
        unet = UNet2DModel(**config)
    expected = unet.state_dict()
    names = {name: original_name(name, len(config["block_out_channels"])) for name in expected}
    check_keys(state_dict, sorted(names.values()), KIND)
    weights = {name: _fitted(original, state_dict[original], expected[name]) for name, original in names.items()}
    unet.load_state_dict(weights, assign=True)
    variance = VARIANCES.get(config["sample_size"], OTHER_VARIANCE)
    return DDPMPipeline(unet.eval(), DDPMScheduler(**SCHEDULER, variance_type=variance))


def unet_config(shapes: Mapping[str, tuple[int, ...]], image_size: int | None = None) -> dict:
    """Settings of the U-Net for diffusers' UNet2DModel.

    Args:
        shapes: shape of each tensor by its original name.
        image_size: see `convert`.

    Raises:
        DeepCacheError: if a key that tells a size is missing, or a size is impossible or unknown.
    """
    levels = _count(shapes, "down.")
    if levels == 0:
        names = ", ".join(list(shapes)[:SHOWN])
        raise DeepCacheError(f"no key begins with down. among {len(shapes)} ({names}): not the original DDPM")
    channels = tuple(_size(shapes, f"down.{level}.block.0.conv1.weight", 0) for level in range(levels))
    if any(width == 0 or width % GROUPS for width in channels):
        raise DeepCacheError(f"the levels have {channels} channels, not multiples of {GROUPS}: not the original DDPM")
    attention = [any(key.startswith(f"down.{level}.attn.") for key in shapes) for level in range(levels)]
    return {
        "sample_size": _image_size(levels, image_size),
        "in_channels": _size(shapes, "conv_in.weight", 1),
        "out_channels": _size(shapes, "conv_out.weight", 0),
        "layers_per_block": _count(shapes, "down.0.block."),
        "block_out_channels": channels,
        "down_block_types": tuple("AttnDownBlock2D" if here else "DownBlock2D" for here in attention),
        "up_block_types": tuple("AttnUpBlock2D" if here else "UpBlock2D" for here in reversed(attention)),
        "attention_head_dim": None,  # one head, of all channels
        "downsample_padding": 0,  # the original pads right and below alone, which diffusers' layer then does
        "flip_sin_to_cos": False,  # the timestep's sines come first
        "freq_shift": 1,  # its frequencies reach 1 / 10,000
        "norm_eps": 1e-6,
    }


def original_name(name: str, levels: int) -> str:
    """What the original calls a parameter of diffusers' UNet2DModel with so many levels.

    Both count the levels of the first half from the outermost; in the second half diffusers counts from the innermost.
    """
    if match := re.match(r"(down|up)_blocks\.(\d+)\.", name):
        level = int(match[2]) if match[1] == "down" else levels - 1 - int(match[2])
        name = f"{match[1]}.{level}.{name[match.end() :]}"
    return PART.sub(lambda part: RENAMED[part[0]], name)


def _check_tensors(state_dict: Mapping) -> None:
    for key, value in state_dict.items():
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, torch.Tensor) else type(value).__name__
            raise DeepCacheError(f"{key} is no tensor of floating-point numbers ({kind})")


def _fitted(key: str, value: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """A tensor as diffusers' layer takes it: attention's 1x1 convolutions, (C, C, 1, 1), are linear there, (C, C)."""
    shape = tuple(expected.shape)
    original = (*shape, 1, 1) if ".attn" in key and len(shape) == 2 else shape
    if tuple(value.shape) != original:
        raise DeepCacheError(f"{key} has shape {tuple(value.shape)}, not {original}")
    return value.float().reshape(shape).contiguous()


def _image_size(levels: int, given: int | None) -> int:
    if given is None and levels not in IMAGE_SIZES:
        known = ", ".join(f"{size} for {count} levels" for count, size in IMAGE_SIZES.items())
        raise DeepCacheError(f"the image size must be given for {levels} levels; it is known only as {known}")
    size = IMAGE_SIZES[levels] if given is None else given
    multiple = 2 ** (levels - 1)  # each level but the last halves the image
    if size <= 0 or size % multiple:
        raise DeepCacheError(f"image size {size}: not a positive multiple of {multiple}, as {levels} levels need")
    return size


def _count(shapes: Iterable[str], prefix: str) -> int:
    """How many numbers follow the prefix; a gap among them shows as a missing key later."""
    numbers = {key.removeprefix(prefix).partition(".")[0] for key in shapes if key.startswith(prefix)}
    return sum(number.isdecimal() for number in numbers)


def _size(shapes: Mapping[str, tuple[int, ...]], key: str, dimension: int) -> int:
    if key not in shapes:
        raise DeepCacheError(f"keys of the state dict do not make {KIND}: missing: {key}, which tells a size")
    if len(shapes[key]) <= dimension:
        raise DeepCacheError(f"{key}: shape {shapes[key]} has too few dimensions")
    return shapes[key][dimension]
