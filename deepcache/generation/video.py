"""Making the videos of a request: from prompts with AnimateDiff, from pictures with Stable Video Diffusion."""

import math

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from deepcache.errors import DeepCacheError
from deepcache.generation.generation import Generation
from deepcache.generation.request import Request
from deepcache.sampling.image_to_video import decoded_frames, fitted
from deepcache.sampling.noise import drawn

ANIMATEDIFF_FPS = 8  # which its motion modules were trained with
SIZE = (576, 1024)  # of Stable Video Diffusion, height and width


class TextToVideo(Generation):
    """A request for videos to an AnimateDiffPipeline; see `Generation`.

    Raises:
        DeepCacheError: as from `Generation`, or if the motion modules know no such long videos.
    """

    makes = "video"

    def __init__(self, pipeline: DiffusionPipeline, request: Request):
        most = pipeline.unet.config.motion_max_seq_length
        if request.frames > most:
            raise DeepCacheError(f"--frames {request.frames}: these motion modules know at most {most}: lower it")
        super().__init__(pipeline, request)

    @property
    def fps(self) -> int:
        """Frames a second."""
        return ANIMATEDIFF_FPS

    def _run(self, prompts: list[int], **call) -> np.ndarray:
        """Videos of these prompts, from 0 to 1, shape (B, frames, H, W, 3)."""
        size = {"height": self.height, "width": self.width, "num_frames": self._request.frames}
        return self._pipeline(**self._words(prompts), **size, **call, output_type="np").frames

    def settings(self) -> dict:
        """See `Generation`."""
        return {**super().settings(), "frames": self._request.frames}


class ImageToVideo(Generation):
    """A request for videos to a StableVideoDiffusionPipeline, each from a picture; see `Generation`.

    They are those that the workflow samples, see deepcache.sampling.image_to_video.
    """

    makes = "video"

    @property
    def fps(self) -> int:
        """Frames a second."""
        return self._request.fps

    @property
    def frames(self) -> int:
        """How many a video has."""
        frames = self._request.frames
        return self._pipeline.unet.config.num_frames if frames is None else frames

    def _run(self, prompts: list[int], **call) -> np.ndarray:
        """Videos from these pictures, from 0 to 1, shape (B, frames, H, W, 3)."""
        request, pipeline = self._request, self._pipeline
        pipeline.guided = request.guidance_scale > 1 and self.frames > 1  # the first frame is not guided
        latent = (side // pipeline.vae_scale_factor for side in (self.height, self.width))
        noise = drawn(call["generator"], (self.frames, pipeline.unet.config.out_channels, *latent))
        latents = pipeline(
            image=self._pictures(request.images, prompts),
            height=self.height,
            width=self.width,
            num_frames=self.frames,
            fps=request.fps,
            max_guidance_scale=request.guidance_scale,
            latents=noise.to(pipeline.unet.device, pipeline.unet.dtype),
            output_type="latent",
            **call,
        ).frames
        with torch.no_grad():
            return decoded_frames(pipeline, latents).permute(0, 1, 3, 4, 2).cpu().numpy()

    def settings(self) -> dict:
        """See `Generation`."""
        return {**super().settings(), "frames": self.frames, "fps": self.fps}

    def _fitted(self, picture: Image.Image) -> Image.Image:
        return fitted(np.asarray(picture), self.height, self.width)

    def _default_size(self) -> tuple[int, int]:
        return SIZE

    def _unit(self) -> int:
        """Height and width are multiples of it: the U-Net's levels halve them, and cannot make up for a rest."""
        levels = len(self._pipeline.unet.config.block_out_channels)
        return math.lcm(super()._unit(), self._pipeline.vae_scale_factor * 2 ** (levels - 1))
