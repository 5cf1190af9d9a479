"""Stable Diffusion XL without weights: the base model, and the same classes in small.

In fp16, on the device "meta", as those of deepcache.models.paper_pipelines.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

from deepcache.models.clip_vocabulary import clip_tokenizer
from deepcache.models.paper_pipelines import SD_FIRST_STAGE, SD_TEXT_ENCODER, of_size, pixels

# Of stabilityai/stable-diffusion-xl-base-1.0, as are the sizes below.
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}
NUMBERS = 6  # sizes and crop, which the U-Net is told beside the pooled text
PAD = "!"  # of the second tokenizer; its id is 0


def sdxl_unet() -> UNet2DConditionModel:
    """Stable Diffusion XL's, 1024x1024 pixels, latents 4x128x128 (stabilityai/stable-diffusion-xl-base-1.0)."""
    return _unet(128, (320, 640, 1280), layers=(1, 2, 10), heads=(5, 10, 20), context=2048, pooled=1280, numbers=256)


def sdxl_tiny_unet() -> UNet2DConditionModel:
    """The same levels and blocks with few channels and layers of attention, latents 4x16x16."""
    return _unet(16, (32, 32, 64), layers=(1, 1, 2), heads=(1, 2, 4), context=80, pooled=48, numbers=8)


def _unet(
    side: int,
    channels: tuple[int, ...],
    layers: tuple[int, ...],
    heads: tuple[int, ...],
    context: int,
    pooled: int,
    numbers: int,
) -> UNet2DConditionModel:
    with torch.device("meta"):
        return UNet2DConditionModel(
            sample_size=side,
            block_out_channels=channels,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=layers,
            attention_head_dim=heads,  # of this class's settings, the one that means the number of heads
            use_linear_projection=True,
            cross_attention_dim=context,
            addition_embed_type="text_time",
            addition_time_embed_dim=numbers,
            projection_class_embeddings_input_dim=pooled + NUMBERS * numbers,
        )


@dataclass(frozen=True)
class Size:
    """What the base model and the small one differ in.

    Attributes:
        unet: makes the U-Net.
        first_stage: changes to Stable Diffusion's.
        text_encoder: changes to that of CLIP ViT-L/14, the first one.
        text_encoder_2: the same of OpenCLIP ViT-bigG/14, the second one; its projection is the pooled text.
    """

    unet: Callable[[], UNet2DConditionModel]
    first_stage: dict
    text_encoder: dict
    text_encoder_2: dict


SIZES = {
    "sdxl": Size(
        sdxl_unet,
        first_stage={},
        text_encoder={},
        text_encoder_2={
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_attention_heads": 20,
            "projection_dim": 1280,
        },
    ),
    "sdxl-tiny": Size(
        sdxl_tiny_unet,
        first_stage={"block_out_channels": (32, 32, 32, 32), "layers_per_block": 1},
        text_encoder={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "projection_dim": 32,
        },
        text_encoder_2={
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "projection_dim": 48,
        },
    ),
}


def stable_diffusion_xl(architecture: str, sample_size: int | None) -> StableDiffusionXLPipeline:
    """SDXL without watermarks; DeepCacheError if it has no such `sample_size`, the side of its latents."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    size = SIZES[architecture]
    unet = of_size(architecture, size.unet().half(), sample_size)
    second = clip_tokenizer()
    second.pad_token = PAD
    first_stage = SD_FIRST_STAGE | {"scaling_factor": 0.13025} | size.first_stage
    texts = [SD_TEXT_ENCODER | size.text_encoder, SD_TEXT_ENCODER | {"hidden_act": "gelu"} | size.text_encoder_2]
    with torch.device("meta"):
        vae = AutoencoderKL(sample_size=pixels(unet, first_stage), **first_stage).half()
        text_encoder = CLIPTextModel(CLIPTextConfig(**texts[0])).half()
        text_encoder_2 = CLIPTextModelWithProjection(CLIPTextConfig(**texts[1])).half()
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=text_encoder,
        text_encoder_2=text_encoder_2,
        tokenizer=clip_tokenizer(),
        tokenizer_2=second,
        unet=unet,
        scheduler=EulerDiscreteScheduler(**SCHEDULER),
        add_watermarker=False,
    )
