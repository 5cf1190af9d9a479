"""Every row of the table: a pipeline, how it is made in small, and what samples with it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.caching import pipelines
from tests.caching.pipelines import generate
from tests.support import images, others


@dataclass(frozen=True)
class Row:
    """A pipeline that is supported.

    Attributes:
        make: in small, with random weights; writes a tokenizer's files to the folder.
        sample: of it: latents, or whatever it returns.
        note: what is special about it.
    """

    make: Callable[[Path], object]
    sample: Callable[[object], torch.Tensor]
    note: str = ""


ROWS = {
    "text to image": Row(pipelines.text_to_image, generate),
    "image to image": Row(images.image_to_image, generate),
    "inpainting": Row(images.inpainting, images.inpaint, "a U-Net of 9 channels"),
    "ControlNet": Row(pipelines.controlled, images.control, "what it adds to the skipped depth is left out"),
    "InstructPix2Pix": Row(images.instructed, images.instruct, "three conditions in one batch"),
    "IP-Adapter": Row(images.with_picture_prompts, images.with_a_picture),
    "LCM": Row(images.consistency, images.few_steps, "its few steps leave little to cache"),
    "SDXL": Row(pipelines.extra_large, generate),
    "SDXL, base and refiner": Row(
        pipelines.extra_large,
        images.handed_over,
        "`denoising_end`, `denoising_start`; a refiner with weights of its own has a `DeepCache` of its own",
    ),
    "SDXL inpainting": Row(images.inpainting_xl, images.inpaint, "a U-Net of 4 channels"),
    "DDIM, DDPM": Row(images.pixels, images.unconditional),
    "Stable Video Diffusion": Row(others.from_a_picture, others.frames_of_a_picture, "guidance grows with the frame"),
    "AnimateDiff": Row(others.animated, others.frames),
    "text to video": Row(others.text_to_video, others.frames),
    "I2VGen-XL": Row(others.picture_to_video, others.frames_told),
    "Dance Diffusion": Row(others.sound, others.heard, "one-dimensional"),
}
