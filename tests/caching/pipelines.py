"""Stable Diffusion in small: diffusers' own pipelines with tiny components and random weights."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from tests.conftest import make_unet2d_condition

WORDS = ["a", "b", "a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]


def _tokenizer(folder: Path) -> CLIPTokenizer:
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(WORDS)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=8)


def _text_encoder(kind=CLIPTextModel, **changes):
    settings = {
        "vocab_size": len(WORDS),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 8,
        "bos_token_id": 4,
        "eos_token_id": 5,
        "pad_token_id": 5,
    }
    return kind(CLIPTextConfig(**{**settings, **changes})).eval()


def _vae() -> AutoencoderKL:
    """A first stage that leaves the size as it is."""
    return AutoencoderKL(block_out_channels=(4,), norm_num_groups=2, latent_channels=4, sample_size=16).eval()


def quiet(pipe: DiffusionPipeline) -> DiffusionPipeline:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def with_components_of(pipe: StableDiffusionPipeline, kind: type, **components) -> DiffusionPipeline:
    """A pipeline of another kind with the same components but for those that are given."""
    return quiet(kind(**{**pipe.components, **components}, requires_safety_checker=False))


def text_to_image(folder: Path, **unet) -> StableDiffusionPipeline:
    """Stable Diffusion; the tokenizer's files are written to the folder."""
    torch.manual_seed(0)
    return quiet(
        StableDiffusionPipeline(
            vae=_vae(),
            text_encoder=_text_encoder(),
            tokenizer=_tokenizer(folder),
            unet=make_unet2d_condition(**unet),
            scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    )


def image_to_image(pipe: StableDiffusionPipeline, **components) -> StableDiffusionImg2ImgPipeline:
    """Another pipeline with the same components but for those that are given."""
    return with_components_of(pipe, StableDiffusionImg2ImgPipeline, **components)


def inpainting(folder: Path, channels: int) -> StableDiffusionInpaintPipeline:
    """Inpainting with a U-Net of 4 channels, or of 9: latents, mask and masked image."""
    return with_components_of(text_to_image(folder, in_channels=channels), StableDiffusionInpaintPipeline)


def controlled(folder: Path) -> StableDiffusionControlNetPipeline:
    """Stable Diffusion with a ControlNet that matters: its last convolutions are zero before training, random here."""
    pipe = text_to_image(folder)
    # One size of channels: the hint is as large as the latents.
    controlnet = ControlNetModel.from_unet(pipe.unet, conditioning_embedding_out_channels=(4,)).eval()
    for layer in [
        *controlnet.controlnet_down_blocks,
        controlnet.controlnet_mid_block,
        controlnet.controlnet_cond_embedding.conv_out,
    ]:
        torch.nn.init.normal_(layer.weight, std=0.5)
    return with_components_of(pipe, StableDiffusionControlNetPipeline, controlnet=controlnet)


def extra_large(folder: Path) -> StableDiffusionXLPipeline:
    """Stable Diffusion XL: three levels, the outermost without attention, two text encoders, added conditions."""
    torch.manual_seed(0)
    encoders = {
        "text_encoder": _text_encoder(num_hidden_layers=2),
        "text_encoder_2": _text_encoder(CLIPTextModelWithProjection, num_hidden_layers=2, projection_dim=12),
    }
    unet = make_unet2d_condition(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 3),
        use_linear_projection=True,
        cross_attention_dim=32,  # the contexts of both encoders side by side
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 12,  # two sizes and a corner, and the pooled text
    )
    return quiet(
        StableDiffusionXLPipeline(
            vae=_vae(),
            tokenizer=_tokenizer(folder),
            tokenizer_2=_tokenizer(folder),
            unet=unet,
            scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
            add_watermarker=False,
            **encoders,
        )
    )


def generate(pipe, num_steps=4, **options):
    """The latents that the pipeline makes of a prompt, with guidance."""
    generator = torch.Generator().manual_seed(3)
    if isinstance(pipe, StableDiffusionImg2ImgPipeline):
        options = {"image": torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16), **options}
    else:
        options = {"height": 16, "width": 16, **options}
    return pipe("a b", num_inference_steps=num_steps, output_type="latent", generator=generator, **options).images
