"""Architectures of the paper's models, without weights: enough to count and to time them.

Each builder returns a diffusers U-Net on the device "meta". That a configuration is the right one shows in its MACs:
they agree with the paper's Tables 1, 2, 3 and 12 to 0.4 %, or to the digits printed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from torch import nn


def ddpm_cifar10() -> UNet2DModel:
    """DDPM for CIFAR-10, 32x32 pixels (Table 2; google/ddpm-cifar10-32 on the hub is the same)."""
    return _ddpm(
        sample_size=32,
        block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )


def ddpm_lsun256() -> UNet2DModel:
    """DDPM for LSUN, 256x256 pixels (Table 2; google/ddpm-ema-bedroom-256 and google/ddpm-ema-church-256)."""
    return _ddpm(
        sample_size=256,
        block_out_channels=(128, 128, 256, 256, 512, 512),
        down_block_types=(*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4),
    )


def _ddpm(**settings) -> UNet2DModel:
    with torch.device("meta"):
        return UNet2DModel(
            in_channels=3,
            out_channels=3,
            layers_per_block=2,
            attention_head_dim=None,
            downsample_padding=0,
            flip_sin_to_cos=False,
            freq_shift=1,
            norm_eps=1e-6,
            **settings,
        )


def ldm4g_imagenet() -> UNet2DConditionModel:
    """LDM-4-G for ImageNet 256x256, latents 3x64x64 (Table 1; CompVis/latent-diffusion, configuration cin256-v2).

    The class is a context of one token of 512 channels.
    """
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=64,
            in_channels=3,
            out_channels=3,
            layers_per_block=2,
            block_out_channels=(192, 384, 576, 960),
            down_block_types=("DownBlock2D", *["CrossAttnDownBlock2D"] * 3),
            up_block_types=(*["CrossAttnUpBlock2D"] * 3, "UpBlock2D"),
            cross_attention_dim=512,
            attention_head_dim=1,  # of this class's settings, the one that means the number of heads
        )


def sd_v1_5() -> UNet2DConditionModel:
    """Stable Diffusion v1.5, 512x512 pixels, latents 4x64x64 (Table 3; runwayml/stable-diffusion-v1-5)."""
    return _stable_diffusion()


def bk_sdm_base() -> UNet2DConditionModel:
    """BK-SDM Base: one layer a block (Table 3; nota-ai/bk-sdm-base-2m)."""
    return _stable_diffusion(layers_per_block=1)


def bk_sdm_small() -> UNet2DConditionModel:
    """BK-SDM Small: Base without the middle block (Table 3; nota-ai/bk-sdm-small-2m)."""
    return _stable_diffusion(layers_per_block=1, mid_block_type=None)


def bk_sdm_tiny() -> UNet2DConditionModel:
    """BK-SDM Tiny: Small without the innermost level (Table 3; nota-ai/bk-sdm-tiny-2m)."""
    return _stable_diffusion(
        layers_per_block=1,
        mid_block_type=None,
        block_out_channels=(320, 640, 1280),
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        up_block_types=("CrossAttnUpBlock2D",) * 3,
    )


def _stable_diffusion(**changes) -> UNet2DConditionModel:
    with torch.device("meta"):
        # The class's defaults are Stable Diffusion's but for these.
        return UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8, **changes)


@dataclass(frozen=True)
class Architecture:
    """One of the paper's models.

    Attributes:
        build: makes the U-Net, on the device "meta".
        steps: T, steps of the paper's sampler.
        branch: where the paper cuts it, from 0; None where the paper does not cache it.
        tokens: length of its context; None where it has none.
        code: in whose code the authors counted its MACs, see deepcache.cost.macs_authors.
    """

    build: Callable[[], nn.Module]
    steps: int
    branch: int | None = None
    tokens: int | None = None
    code: str = "diffusers"


ARCHITECTURES = {
    "ddpm-cifar10": Architecture(ddpm_cifar10, steps=100, branch=2),
    "ddpm-lsun-bedroom": Architecture(ddpm_lsun256, steps=100, branch=2, code="ddim"),
    "ddpm-lsun-churches": Architecture(ddpm_lsun256, steps=100, branch=2, code="ddim"),
    "ldm4g-imagenet": Architecture(ldm4g_imagenet, steps=250, branch=0, tokens=1, code="latent-diffusion"),
    "sd-v1-5": Architecture(sd_v1_5, steps=50, branch=1, tokens=77),
    "bk-sdm-base": Architecture(bk_sdm_base, steps=50, tokens=77),
    "bk-sdm-small": Architecture(bk_sdm_small, steps=50, tokens=77),
    "bk-sdm-tiny": Architecture(bk_sdm_tiny, steps=50, tokens=77),
}
# Those that the paper caches; Bedroom and Churches are one architecture.
CACHED = {name: one for name, one in ARCHITECTURES.items() if one.branch is not None and name != "ddpm-lsun-churches"}
