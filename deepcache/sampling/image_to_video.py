"""Image-to-video with Stable Video Diffusion."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import StableVideoDiffusionPipeline
from PIL import Image

from deepcache.caching.schedulers import make_scheduler
from deepcache.models.pipeline_parts import load_encoders, sole_variant
from deepcache.runs.families import IMAGE_TO_VIDEO
from deepcache.sampling.model import differentiable, step_callback
from deepcache.sampling.noise import drawn, image_generator
from deepcache.sampling.pipeline_model import PipelineModel

# What the U-Net is told, and the first frame's guidance, as in the released code; it is told one frame a second less.
CALL = {"fps": 7, "motion_bucket_id": 127, "noise_aug_strength": 0.02, "min_guidance_scale": 1.0}
DECODED = 8  # frames at a time, as in diffusers' example; its decoder looks over the frames that it gets together


class NotWaiting(StableVideoDiffusionPipeline):
    """Is told whether it guides: diffusers' own looks at the frames' guidance on the device, twice a step."""

    guided = True

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether the U-Net is called without the picture, too."""
        return self.guided


class ImageToVideo(PipelineModel):
    """A checkpoint of Stable Video Diffusion.

    Image j is the film strip of video j: its F frames one below the other, so that whatever counts, compares and keeps
    images does so with all frames of a video. It starts from picture j, counted round the dataset. What is drawn for it
    is drawn in one go, first the latents' noise, then the picture's. Guidance grows from 1 at the first frame to the
    sampler's at the last.

    The first stage encodes in float32 where its config has `force_upcast` and decodes in its own type, as diffusers'
    pipeline does it.

    Args:
        folder: the checkpoint, whose weights may be of one variant alone, such as `fp16`.
        device: where it runs.
        dtype: of weights and activations.
        prompts: pictures, uint8, shape (H, W, 3), of any size; at least one.
    """

    family = IMAGE_TO_VIDEO
    context_tokens = 1  # the picture

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, prompts: Sequence[np.ndarray]):
        variant = sole_variant(folder)
        encoders = load_encoders(folder, dtype, variant=variant)
        pipeline = NotWaiting.from_pretrained(folder, dtype=dtype, variant=variant, local_files_only=True, **encoders)
        pipeline.set_progress_bar_config(disable=True)
        super().__init__(pipeline.to(device), prompts, CALL)

    def make_latents(self, indices, seed, sampler, on_step=lambda step: None) -> torch.Tensor:
        """See `ImageModel.make_latents`; shape (len(indices), F, C, h, w)."""
        self.family.check(sampler)
        self._pipeline.scheduler = make_scheduler(sampler.name, self._scheduler_config, self._pipeline)
        self._pipeline.guided = sampler.guidance_scale > 1
        generators = [image_generator(seed, index) for index in indices]
        noise = drawn(generators, (self.unet.config.num_frames, self.unet.config.out_channels, *self.latent_size))
        height, width = (side * self._pipeline.vae_scale_factor for side in self.latent_size)
        return differentiable(self._pipeline)(
            [fitted(self._prompts[index % len(self._prompts)], height, width) for index in indices],
            height=height,
            width=width,
            max_guidance_scale=sampler.guidance_scale,
            num_inference_steps=sampler.steps,
            latents=noise.to(self.unet.device, self.unet.dtype),
            generator=generators,
            output_type="latent",
            callback_on_step_end=step_callback(on_step),
            **self._call,
        ).frames

    def decode(self, latents, rounded=True) -> torch.Tensor:
        """See `ImageModel.decode`; of latents of shape (B, F, C, h, w), images of shape (B, F * H, W, C)."""
        return (decoded_frames(self._pipeline, latents) * 255).permute(0, 1, 3, 4, 2).flatten(1, 2).contiguous()


def decoded_frames(pipeline: StableVideoDiffusionPipeline, latents: torch.Tensor) -> torch.Tensor:
    """Frames of latents of shape (B, F, C, h, w), from 0 to 1, shape (B, F, 3, H, W)."""
    # One by one: frames of two videos are not to be looked at together.
    videos = [pipeline.decode_latents(video[None], len(video), DECODED) for video in latents]
    return pipeline.video_processor.postprocess_video(torch.cat(videos), output_type="pt")


def fitted(picture: np.ndarray, height: int, width: int) -> Image.Image:
    """A picture resized until it covers the frame, by the mean of areas, and cropped in the middle.

    As the released code prepares pictures for prediction (Stability-AI/generative-models,
    scripts/demo/streamlit_helpers.py), and then rounded to 8 bits, which the pipeline is given.

    Args:
        picture: uint8, shape (H, W, 3).
        height: of the frame, pixels.
        width: likewise.
    """
    factor = max(height / picture.shape[0], width / picture.shape[1])
    tall, wide = (math.ceil(factor * side) for side in picture.shape[:2])
    top, left = (tall - height) // 2, (wide - width) // 2
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(pixels, (tall, wide), mode="area")[0].permute(1, 2, 0)
    return Image.fromarray(resized[top : top + height, left : left + width].round().to(torch.uint8).numpy())
