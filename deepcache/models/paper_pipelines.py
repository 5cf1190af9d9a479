"""Whole pipelines around the paper's U-Nets, without weights: everything on the device "meta", in fp16.

A builder takes the name of an architecture (`deepcache.models.paper.ARCHITECTURES`) and the side of the U-Net's
input, None for the original's. The side is a multiple of what the levels divide it by, which is also the smallest: 8
for ddpm-cifar10, ldm4g-imagenet, sd-v1-5, bk-sdm-base and bk-sdm-small, 4 for bk-sdm-tiny, 32 for ddpm-lsun-*.
"""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, DDPMPipeline, PNDMScheduler, StableDiffusionPipeline, VQModel
from torch import nn

from deepcache.errors import DeepCacheError
from deepcache.models.digits import ddpm_scheduler
from deepcache.models.ldm import SCHEDULER
from deepcache.models.ldm_pipeline import ClassEmbedder, LDMClassPipeline
from deepcache.models.paper import ARCHITECTURES

# First stage of LDM-4-G (CompVis/latent-diffusion, cin256-v2: VQ, factor 4) as diffusers' VQModel.
LDM_FIRST_STAGE = {
    "block_out_channels": (128, 256, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "layers_per_block": 2,
    "latent_channels": 3,
    "num_vq_embeddings": 8192,
    "vq_embed_dim": 3,
    "scaling_factor": 1.0,
}
LDM_CLASSES = {"num_embeddings": 1001, "embedding_dim": 512}

# The parts of Stable Diffusion v1 (CompVis/stable-diffusion, v1-inference.yaml): KL first stage, factor 8; the text
# encoder of CLIP ViT-L/14, whose vocabulary and context of 77 tokens are the class's defaults; PLMS.
SD_FIRST_STAGE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "scaling_factor": 0.18215,
}
SD_TEXT_ENCODER = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
}
SD_SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "skip_prk_steps": True,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def ddpm(architecture: str, sample_size: int | None) -> DDPMPipeline:
    """DDPM in pixel space; DeepCacheError if it has no such `sample_size`, pixels."""
    return DDPMPipeline(_unet(architecture, sample_size), ddpm_scheduler())


def ldm_class(architecture: str, sample_size: int | None) -> LDMClassPipeline:
    """Class-conditional latent diffusion with a VQ first stage; DeepCacheError if it has no such `sample_size`."""
    unet = _unet(architecture, sample_size)
    with torch.device("meta"):
        first_stage = VQModel(sample_size=pixels(unet, LDM_FIRST_STAGE), **LDM_FIRST_STAGE).half()
        classes = ClassEmbedder(**LDM_CLASSES).half()
    return LDMClassPipeline(unet, first_stage, classes, DDIMScheduler(**SCHEDULER))


def stable_diffusion(architecture: str, sample_size: int | None) -> StableDiffusionPipeline:
    """Stable Diffusion or BK-SDM, without safety checker; DeepCacheError if it has no such `sample_size`."""
    from transformers import CLIPTextConfig, CLIPTextModel

    from deepcache.models.clip_vocabulary import clip_tokenizer

    unet = _unet(architecture, sample_size)
    with torch.device("meta"):
        first_stage = AutoencoderKL(sample_size=pixels(unet, SD_FIRST_STAGE), **SD_FIRST_STAGE).half()
        text_encoder = CLIPTextModel(CLIPTextConfig(**SD_TEXT_ENCODER)).half()
    return assemble_stable_diffusion(first_stage, text_encoder, clip_tokenizer(), unet)


def assemble_stable_diffusion(
    first_stage: AutoencoderKL, text_encoder, tokenizer, unet, prediction_type: str = "epsilon"
) -> StableDiffusionPipeline:
    """The parts as a pipeline with PLMS, Stable Diffusion's sampler, and without a safety checker."""
    return StableDiffusionPipeline(
        vae=first_stage,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=PNDMScheduler(**SD_SCHEDULER, prediction_type=prediction_type),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _unet(architecture: str, sample_size: int | None) -> nn.Module:
    return of_size(architecture, ARCHITECTURES[architecture].build().half(), sample_size)


def of_size(architecture: str, unet: nn.Module, sample_size: int | None) -> nn.Module:
    """A U-Net with another side of its input, None: its own.

    Raises:
        DeepCacheError: names the architecture if its levels do not divide that side.
    """
    if sample_size is not None:
        smallest = _factor(unet.config)
        if sample_size < smallest or sample_size % smallest:
            levels = len(unet.config.block_out_channels)
            raise DeepCacheError(
                f"{architecture}: sample_size must be a multiple of {smallest}, since there are {levels} levels, "
                f"not {sample_size}"
            )
        unet.register_to_config(sample_size=sample_size)
    return unet


def pixels(unet: nn.Module, first_stage: dict) -> int:
    """Side of the images whose latents have the U-Net's side."""
    return unet.config.sample_size * _factor(first_stage)


def _factor(config) -> int:
    """What the levels of a model divide height and width by: each but the last one halves them."""
    return 2 ** (len(config["block_out_channels"]) - 1)
