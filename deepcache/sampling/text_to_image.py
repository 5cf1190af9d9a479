"""Text-to-image with Stable Diffusion."""

from collections.abc import Sequence
from pathlib import Path

import torch

from deepcache.models.pipeline_parts import load_text_encoders
from deepcache.sampling.pipeline_model import PipelineModel

LEFT_OUT = ("safety_checker", "feature_extractor")


class TextToImage(PipelineModel):
    """A Stable Diffusion checkpoint: the paper's SD v1.5 and BK-SDM (Table 3).

    Without safety checker, as the authors ran them: the images that it makes black would enter what is measured.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, prompts: Sequence[str]):
        from diffusers import StableDiffusionPipeline

        encoders = load_text_encoders(folder, dtype, without=LEFT_OUT)
        pipeline = StableDiffusionPipeline.from_pretrained(
            folder, dtype=dtype, requires_safety_checker=False, **dict.fromkeys(LEFT_OUT), **encoders
        ).to(device)
        pipeline.set_progress_bar_config(disable=True)
        super().__init__(pipeline, prompts)
