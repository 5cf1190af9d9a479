"""Text-to-image with Stable Diffusion and SDXL."""

from collections.abc import Sequence
from pathlib import Path

import diffusers
import torch

from deepcache.json_values import read_object
from deepcache.models.pipeline_parts import load_encoders, sole_variant
from deepcache.sampling.pipeline_model import PipelineModel

LEFT_OUT = ("safety_checker", "feature_extractor")
# What a pipeline is called without, by its class.
OPTIONS = {
    "StableDiffusionPipeline": {"requires_safety_checker": False, **dict.fromkeys(LEFT_OUT)},
    "StableDiffusionXLPipeline": {"add_watermarker": False},  # it would mark what the pipeline decodes itself
}


class TextToImage(PipelineModel):
    """A checkpoint of Stable Diffusion, such as the paper's SD v1.5 and BK-SDM (Table 3), or of SDXL.

    Without safety checker, as the authors ran them: the images that it makes black would enter what is measured.

    Args:
        folder: the checkpoint, whose weights may be of one variant alone, such as `fp16`.
        device: where it runs.
        dtype: of weights and activations.
        prompts: at least one.
        negative_prompt: what guidance leads away from, the same for every image; None: from no prompt.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        dtype: torch.dtype,
        prompts: Sequence[str],
        negative_prompt: str | None = None,
    ):
        kind = read_object(folder / "model_index.json")["_class_name"]
        variant = sole_variant(folder)
        encoders = load_encoders(folder, dtype, without=LEFT_OUT, variant=variant)
        pipeline = getattr(diffusers, kind).from_pretrained(
            folder, dtype=dtype, variant=variant, local_files_only=True, **OPTIONS[kind], **encoders
        )
        pipeline.set_progress_bar_config(disable=True)
        call = {} if negative_prompt is None else {"negative_prompt": negative_prompt}
        super().__init__(pipeline.to(device), prompts, call)
