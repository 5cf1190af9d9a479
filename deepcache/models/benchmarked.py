"""Architectures whose speed is measured, with seeded random weights: the paper's, SDXL's and the digits models'.

A new one is a line in BENCHMARKED and its name in config/schema.yaml.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from deepcache.models import digits_sd, emoji_sd
from deepcache.models.digits import digits_ddpm_unet, digits_ldm_unet
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.paper import ARCHITECTURES
from deepcache.models.sdxl import sdxl_unet


@dataclass(frozen=True)
class Benchmarked:
    """One of them.

    Attributes:
        build: makes the U-Net, on the device "meta".
        branch: where it is cut, from 0.
        guided: whether guidance doubles the batch.
        tokens: length of its context; None where it has none.
    """

    build: Callable[[], nn.Module]
    branch: int
    guided: bool = False
    tokens: int | None = None


def _of_paper(name: str, guided: bool = False) -> Benchmarked:
    one = ARCHITECTURES[name]
    return Benchmarked(one.build, one.branch, guided, one.tokens)


def _of_suite(
    build: Callable[[], nn.Module], branch: int, guided: bool = False, tokens: int | None = None
) -> Benchmarked:
    def on_meta() -> nn.Module:
        with torch.device("meta"):
            return build()

    return Benchmarked(on_meta, branch, guided, tokens)


BENCHMARKED = {
    "ddpm-cifar10": _of_paper("ddpm-cifar10"),
    "ddpm-lsun": _of_paper("ddpm-lsun-bedroom"),  # Churches' is the same
    "ldm4g-imagenet": _of_paper("ldm4g-imagenet", guided=True),
    "sd-v1-5": _of_paper("sd-v1-5", guided=True),
    "sdxl": Benchmarked(sdxl_unet, branch=0, guided=True, tokens=77),  # the plug-in's own choice
    # So small that launching operations takes longer than computing them, as on a GPU at batch 1.
    "digits-ddpm": _of_suite(digits_ddpm_unet, branch=2),
    "digits-ldm": _of_suite(digits_ldm_unet, branch=0, guided=True, tokens=1),
    "digits-sd": _of_suite(digits_sd.digits_sd_unet, branch=1, guided=True, tokens=digits_sd.CONTEXT),
    "emoji-sd": _of_suite(emoji_sd.emoji_sd_unet, branch=1, guided=True, tokens=emoji_sd.CONTEXT),
}


def random_unet(
    unet: nn.Module, seed: int, device: torch.device, dtype: torch.dtype, channels_last: bool = False
) -> nn.Module:
    """Give a U-Net on "meta" random weights on a device; small ones, so that nothing overflows in half precision."""
    generator = torch.Generator(device).manual_seed(seed)
    unet = nn.Module.to(unet, dtype).to_empty(device=device).eval().requires_grad_(False)
    for parameter in unet.parameters():
        parameter.normal_(std=0.02, generator=generator)
    return unet.to(memory_format=torch.channels_last) if channels_last else unet


def random_inputs(
    unet: nn.Module, images: int, one: Benchmarked, resolution: int | None, seed: int, channels_last: bool = False
) -> dict:
    """The U-Net's keyword arguments for so many images, with a latent of normal noise, where its weights lie."""
    parameter = next(unet.parameters())
    inputs = dummy_inputs(unet, images * (1 + one.guided), resolution, parameter.device, tokens=one.tokens)
    generator = torch.Generator(parameter.device).manual_seed(seed)
    inputs["sample"].normal_(generator=generator)
    if channels_last:
        inputs["sample"] = inputs["sample"].to(memory_format=torch.channels_last)
    return inputs
