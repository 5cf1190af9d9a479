"""Stable Video Diffusion without weights: the image-to-video model of 14 frames, and the same classes in small.

In fp16, on the device "meta", as those of deepcache.models.paper_pipelines.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import (
    AutoencoderKLTemporalDecoder,
    EulerDiscreteScheduler,
    StableVideoDiffusionPipeline,
    UNetSpatioTemporalConditionModel,
)

from deepcache.models.paper_pipelines import of_size

# All of stabilityai/stable-video-diffusion-img2vid at commit 9cf024d, as are the sizes below.
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "interpolation_type": "linear",
    "use_karras_sigmas": True,
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "steps_offset": 1,
}
FIRST_STAGE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 768,
    "scaling_factor": 0.18215,
    "force_upcast": True,
}
# CLIP ViT-H/14's, whose projection is the context.
IMAGE_ENCODER = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "gelu",
    "projection_dim": 1024,
}
NUMBERS = 3  # frames a second, motion and noise of the picture, which the U-Net is told


def svd_unet() -> UNetSpatioTemporalConditionModel:
    """Stable Video Diffusion's, 14 frames of 576x1024 pixels, latents 14x4x72x128 beside as many of the picture."""
    # `sample_size` as published; see deepcache.models.input_size.
    return _unet(96, 14, (320, 640, 1280, 1280), heads=(5, 10, 20, 20), context=1024, numbers=256)


def svd_tiny_unet() -> UNetSpatioTemporalConditionModel:
    """The same levels and blocks with few channels, 3 frames, latents 3x4x8x16."""
    return _unet((8, 16), 3, (32, 32, 64, 64), heads=(1, 1, 2, 2), context=32, numbers=8)


def _unet(
    size: int | tuple[int, int],
    frames: int,
    channels: tuple[int, ...],
    heads: tuple[int, ...],
    context: int,
    numbers: int,
) -> UNetSpatioTemporalConditionModel:
    with torch.device("meta"):
        # The class's defaults are Stable Video Diffusion's but for these.
        unet = UNetSpatioTemporalConditionModel(
            sample_size=size,
            num_frames=frames,
            block_out_channels=channels,
            num_attention_heads=heads,
            cross_attention_dim=context,
            addition_time_embed_dim=numbers,
            projection_class_embeddings_input_dim=NUMBERS * numbers,
        )
    return unet.to("meta")  # diffusers makes the weights of its blends elsewhere


@dataclass(frozen=True)
class Size:
    """What the published model and the small one differ in.

    Attributes:
        unet: makes the U-Net.
        first_stage: changes to the published one.
        image_encoder: likewise.
    """

    unet: Callable[[], UNetSpatioTemporalConditionModel]
    first_stage: dict
    image_encoder: dict


SIZES = {
    "svd": Size(svd_unet, first_stage={}, image_encoder={}),
    "svd-tiny": Size(
        svd_tiny_unet,
        first_stage={"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1},
        image_encoder={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "projection_dim": 32,
        },
    ),
}


def stable_video_diffusion(architecture: str, sample_size: int | None) -> StableVideoDiffusionPipeline:
    """Image to video; DeepCacheError if it has no such `sample_size`, the side of square latents."""
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    size = SIZES[architecture]
    unet = of_size(architecture, size.unet().half(), sample_size)
    with torch.device("meta"):
        vae = AutoencoderKLTemporalDecoder(**FIRST_STAGE | size.first_stage).half().to("meta")
        image_encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**IMAGE_ENCODER | size.image_encoder)).half()
    return StableVideoDiffusionPipeline(
        vae=vae,
        image_encoder=image_encoder,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULER),
        feature_extractor=CLIPImageProcessor(),  # its defaults are CLIP's
    )
