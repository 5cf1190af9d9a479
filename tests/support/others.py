"""Pipelines for video and sound in small, with what calls them."""

from pathlib import Path

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKLTemporalDecoder,
    DanceDiffusionPipeline,
    DDIMScheduler,
    EulerDiscreteScheduler,
    I2VGenXLPipeline,
    I2VGenXLUNet,
    IPNDMScheduler,
    MotionAdapter,
    StableVideoDiffusionPipeline,
    TextToVideoSDPipeline,
    UNet3DConditionModel,
)
from PIL import Image
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.caching import pipelines
from tests.caching.other_unets import unet_1d
from tests.conftest import make_unet_spatio_temporal
from tests.support.images import noise

PICTURE = Image.linear_gradient("L").resize((16, 16)).convert("RGB")


def picture_encoder(projected: int) -> CLIPVisionModelWithProjection:
    settings = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(**settings, image_size=224, patch_size=112, projection_dim=projected)
    ).eval()


def processor() -> CLIPImageProcessor:
    return CLIPImageProcessor(crop_size=224, size={"shortest_edge": 224})


def from_a_picture(folder: Path) -> StableVideoDiffusionPipeline:
    """Stable Video Diffusion."""
    unet = make_unet_spatio_temporal(sample_size=16, in_channels=8)
    scheduler = EulerDiscreteScheduler(
        prediction_type="v_prediction", timestep_type="continuous", use_karras_sigmas=True
    )
    vae = AutoencoderKLTemporalDecoder(block_out_channels=(32,), down_block_types=("DownEncoderBlock2D",))
    parts = {"vae": vae.eval(), "image_encoder": picture_encoder(16), "unet": unet, "scheduler": scheduler}
    return pipelines.quiet(StableVideoDiffusionPipeline(**parts, feature_extractor=processor()))


def frames_of_a_picture(pipe):
    size = {"height": 16, "width": 16, "num_frames": 3}
    return pipe(PICTURE, **size, num_inference_steps=4, output_type="latent", generator=noise()).frames


def animated(folder: Path) -> AnimateDiffPipeline:
    pipe = pipelines.text_to_image(folder)
    adapter = MotionAdapter(block_out_channels=(8, 8, 16, 16), motion_num_attention_heads=2, motion_norm_num_groups=4)
    parts = {name: getattr(pipe, name) for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")}
    found = pipelines.quiet(AnimateDiffPipeline(**parts, motion_adapter=adapter))
    found.unet.eval()
    return found


def frames(pipe):
    options = {"height": 16, "width": 16, "num_frames": 4, "num_inference_steps": 4}
    return pipe("a b", **options, output_type="latent", generator=noise()).frames


SPACE_TIME = {
    "sample_size": 16,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock3D", "DownBlock3D"),
    "up_block_types": ("UpBlock3D", "CrossAttnUpBlock3D"),
    "layers_per_block": 2,
    "cross_attention_dim": 16,
    "norm_num_groups": 4,
}


def text_to_video(folder: Path) -> TextToVideoSDPipeline:
    pipe = pipelines.text_to_image(folder)
    parts = {name: getattr(pipe, name) for name in ("vae", "text_encoder", "tokenizer", "scheduler")}
    unet = UNet3DConditionModel(**SPACE_TIME, attention_head_dim=4)
    return pipelines.quiet(TextToVideoSDPipeline(**parts, unet=unet.eval()))


def picture_to_video(folder: Path) -> I2VGenXLPipeline:
    pipe = pipelines.text_to_image(folder)
    parts = {name: getattr(pipe, name) for name in ("vae", "text_encoder", "tokenizer")}
    torch.manual_seed(0)
    unet = I2VGenXLUNet(**SPACE_TIME, attention_head_dim=4).eval()
    pictures = {"image_encoder": picture_encoder(16), "feature_extractor": processor()}
    return pipelines.quiet(
        I2VGenXLPipeline(**parts, **pictures, unet=unet, scheduler=DDIMScheduler(clip_sample=False, steps_offset=1))
    )


def frames_told(pipe):
    options = {"height": 16, "width": 16, "num_frames": 4, "num_inference_steps": 4, "clip_skip": None}
    torch.manual_seed(5)  # with which the picture's latent is drawn
    return pipe("a b", image=PICTURE, **options, output_type="latent", generator=noise()).frames


def sound(folder: Path) -> DanceDiffusionPipeline:
    torch.manual_seed(0)
    return pipelines.quiet(DanceDiffusionPipeline(unet_1d().eval(), IPNDMScheduler()))


def heard(pipe):
    return torch.from_numpy(pipe(num_inference_steps=4, audio_length_in_s=0.64, generator=noise()).audios)
