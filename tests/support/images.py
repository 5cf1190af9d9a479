"""Pipelines for images in small, with what calls them."""

from pathlib import Path

import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
)

from tests.caching import pipelines
from tests.caching.pipelines import generate
from tests.conftest import make_unet2d

IMAGE = torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
MASK = (torch.arange(256).reshape(1, 1, 16, 16) % 16 > 7).float()


def noise() -> torch.Generator:
    """The same every time."""
    return torch.Generator().manual_seed(3)


def image_to_image(folder: Path):
    return pipelines.image_to_image(pipelines.text_to_image(folder))


def inpainting(folder: Path) -> StableDiffusionInpaintPipeline:
    return pipelines.inpainting(folder, 9)


def inpaint(pipe):
    return generate(pipe, image=IMAGE, mask_image=MASK)


def control(pipe):
    return generate(pipe, image=IMAGE)


def instructed(folder: Path) -> StableDiffusionInstructPix2PixPipeline:
    """Changes a picture as it is told: three passes a step in one batch, latents of 8 channels."""
    pipe = pipelines.text_to_image(folder, in_channels=8)
    return pipelines.with_components_of(pipe, StableDiffusionInstructPix2PixPipeline, image_encoder=None)


def instruct(pipe):
    return pipe("a b", image=IMAGE, num_inference_steps=4, output_type="latent", generator=noise()).images


def with_picture_prompts(folder: Path):
    """Stable Diffusion with an IP-Adapter of random weights."""
    pipe = pipelines.text_to_image(folder)
    torch.manual_seed(1)
    layers, width = {}, pipe.unet.config.cross_attention_dim
    names = [name for name in pipe.unet.attn_processors if name.endswith("attn2.processor")]
    for index, name in enumerate(names):
        channels = pipe.unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        for part in ("k", "v"):
            layers[f"{2 * index + 1}.to_{part}_ip.weight"] = torch.randn(channels, width)
    projected = {"proj.weight": torch.randn(4 * width, 6), "proj.bias": torch.randn(4 * width)}
    projected |= {"norm.weight": torch.ones(width), "norm.bias": torch.zeros(width)}
    pipe.unet._load_ip_adapter_weights([{"image_proj": projected, "ip_adapter": layers}])
    return pipe


def with_a_picture(pipe):
    embedded = torch.randn(2, 1, 6, generator=torch.Generator().manual_seed(4))
    return generate(pipe, ip_adapter_image_embeds=[embedded])


def consistency(folder: Path) -> LatentConsistencyModelPipeline:
    """Guidance is one of the U-Net's inputs; noise is drawn at every step."""
    pipe = pipelines.text_to_image(folder, time_cond_proj_dim=8)
    scheduler = LCMScheduler(clip_sample=False, original_inference_steps=50)
    return pipelines.with_components_of(pipe, LatentConsistencyModelPipeline, scheduler=scheduler)


def few_steps(pipe):
    """Pipelines of this kind take no negative prompt, and their latents are scaled in the end."""
    return pipe(
        "a b", height=16, width=16, num_inference_steps=4, output_type="latent", generator=noise(), guidance_scale=8.0
    ).images


def handed_over(pipe):
    """The base paints the first half, a refiner, here the same U-Net, the second."""
    latents = generate(pipe, num_steps=8, denoising_end=0.5)
    parts = {name: one for name, one in pipe.components.items() if name not in ("image_encoder", "feature_extractor")}
    refiner = pipelines.quiet(StableDiffusionXLImg2ImgPipeline(**parts, add_watermarker=False))
    options = {"image": latents, "num_inference_steps": 8, "denoising_start": 0.5}
    return refiner("a b", **options, output_type="latent", generator=noise()).images


def inpainting_xl(folder: Path) -> StableDiffusionXLInpaintPipeline:
    pipe = pipelines.extra_large(folder)
    return pipelines.quiet(StableDiffusionXLInpaintPipeline(**pipe.components, add_watermarker=False))


def pixels(folder: Path) -> DDIMPipeline:
    return pipelines.quiet(DDIMPipeline(make_unet2d(), DDIMScheduler(clip_sample=False)))


def unconditional(pipe):
    return torch.from_numpy(pipe(num_inference_steps=4, output_type="np", generator=noise()).images)
