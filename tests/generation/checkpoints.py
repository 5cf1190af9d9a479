"""Stable Diffusion checkpoints in small, and what is asked of them."""

from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    EulerDiscreteScheduler,
    MotionAdapter,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image, ImageSequence
from transformers import CLIPConfig, CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from deepcache.models.clip_vocabulary import clip_tokenizer
from deepcache.models.paper_pipelines import SD_SCHEDULER
from tests.conftest import make_unet2d_condition
from tests.support import others

SCRIPT = Path(__file__).resolve().parents[2] / "workflow/scripts/generate.py"
PROMPTS = ["a seven", "a handwritten two", "three"]
TASKS = {
    "text-to-image": (),
    "image-to-image": ("--images", "images"),
    "inpainting": ("--images", "images", "--masks", "masks"),
}
FIRST_STAGE = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
}
UNET = {  # six branches
    "sample_size": 8,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
TEXT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def save(folder, pipeline_class=StableDiffusionPipeline, vae=None, safety_checker=None, **changes):
    """A Stable Diffusion checkpoint in small, for images of 16x16 pixels."""
    torch.manual_seed(0)
    pipeline = pipeline_class(
        vae=vae or AutoencoderKL(**FIRST_STAGE),
        text_encoder=CLIPTextModel(CLIPTextConfig(vocab_size=600, bos_token_id=598, eos_token_id=599, **TEXT)),
        tokenizer=clip_tokenizer(600),
        unet=make_unet2d_condition(**UNET, **changes),
        scheduler=PNDMScheduler(**SD_SCHEDULER),
        safety_checker=safety_checker,
        feature_extractor=safety_checker and CLIPImageProcessor(size=16, crop_size=16),
        requires_safety_checker=safety_checker is not None,
    )
    pipeline.save_pretrained(folder)
    return folder


def flagging_everything():
    """A safety checker in small, with a concept that every image is near to."""
    vision = {**TEXT, "image_size": 16, "patch_size": 8}
    checker = StableDiffusionSafetyChecker(CLIPConfig(projection_dim=16, vision_config=vision))
    checker.concept_embeds_weights.data.fill_(-2)
    return checker


def save_sdxl(folder, refiner=False):
    """Stable Diffusion XL in small; its refiner has one text encoder and takes five numbers, one of them a score."""
    torch.manual_seed(0)
    text = CLIPTextConfig(vocab_size=600, bos_token_id=598, eos_token_id=599, projection_dim=16, **TEXT)
    kind, own = StableDiffusionXLPipeline, {"text_encoder": CLIPTextModel(text), "tokenizer": clip_tokenizer(600)}
    if refiner:
        kind = StableDiffusionXLImg2ImgPipeline
        own = {"text_encoder": None, "tokenizer": None, "requires_aesthetics_score": True}
    pipeline = kind(
        vae=AutoencoderKL(**FIRST_STAGE),
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer_2=clip_tokenizer(600),
        unet=make_unet2d_condition(
            **UNET,
            cross_attention_dim=16 if refiner else 32,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=(5 if refiner else 6) * 8 + 16,
        ),
        scheduler=EulerDiscreteScheduler(steps_offset=1),
        add_watermarker=False,
        **own,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_animatediff(sd, folder, adapter):
    """Motion modules for a Stable Diffusion checkpoint, in a folder of their own, and both as one checkpoint."""
    torch.manual_seed(1)
    motion = MotionAdapter(block_out_channels=(8, 16), motion_num_attention_heads=2, motion_norm_num_groups=4)
    motion.save_pretrained(adapter)
    AnimateDiffPipeline.from_pretrained(sd, motion_adapter=motion).save_pretrained(folder)
    return folder, adapter


def save_video(folder):
    """Stable Video Diffusion in small, for three frames."""
    torch.manual_seed(0)
    pipeline = others.from_a_picture(folder)
    pipeline.unet.add_embedding.linear_2.weight.data.mul_(100)  # so that the frames a second show
    pipeline.save_pretrained(folder)
    return folder


def frames(path):
    """Of an image that may be a video, as integers."""
    with Image.open(path) as image:
        return [np.asarray(frame).astype(int) for frame in ImageSequence.Iterator(image)]


def full(passes):
    """Indices of the full ones."""
    return [index for index, one in enumerate(passes) if one]


def content(folder):
    """Bytes of each image."""
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.png")}
