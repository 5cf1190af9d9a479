"""AnimateDiff's motion modules, as they are published: in a folder of their own, to be put into Stable Diffusion."""

from pathlib import Path

import torch
from diffusers import DDIMScheduler, DiffusionPipeline, MotionAdapter

from deepcache.errors import DeepCacheError
from deepcache.generation.checkpoints import load_pipeline, weight_checksums
from deepcache.json_values import read_object
from deepcache.models.pipeline_parts import why_not_loaded

# In place of what the checkpoint's own scheduler says, as diffusers' documentation of AnimateDiff has it.
SCHEDULER = {"beta_schedule": "linear", "clip_sample": False, "timestep_spacing": "linspace", "steps_offset": 1}


def load_animated(
    folder: Path, adapter: Path, device: str | torch.device, dtype: torch.dtype, variant: str | None = None
) -> tuple[DiffusionPipeline, dict[str, str]]:
    """Put motion modules into a Stable Diffusion checkpoint.

    Args:
        folder: the checkpoint's, in diffusers' format.
        adapter: folder of a MotionAdapter.
        device: where it is to run.
        dtype: of weights and activations.
        variant: of the weights of both, see `find_checkpoint`; the adapter need not have it.

    Returns:
        The pipeline, with the scheduler that AnimateDiff was trained for; the SHA-256 of the adapter's weights by name.

    Raises:
        DeepCacheError: if one of them cannot be loaded, or they are not made for each other.
    """
    if not (adapter / "config.json").is_file():
        raise DeepCacheError(f"--motion-adapter {adapter}: no config.json there: give the folder of a MotionAdapter")
    kind = read_object(adapter / "config.json").get("_class_name")
    if kind != "MotionAdapter":
        raise DeepCacheError(f"--motion-adapter {adapter}: a {kind}: give the folder of a MotionAdapter")
    of_variant = variant if any(adapter.glob(f"*.{variant}[.-]*")) else None
    try:
        motion = MotionAdapter.from_pretrained(adapter, dtype=dtype, local_files_only=True, variant=of_variant)
    except Exception as error:  # of many kinds where files are missing or damaged
        raise DeepCacheError(
            f"--motion-adapter {adapter}: diffusers cannot load it ({why_not_loaded(error)})"
        ) from error
    pipeline = load_pipeline(folder, "text-to-video", device, dtype, variant, motion_adapter=motion)
    pipeline.unet.eval()  # diffusers makes it anew, ready to be trained
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, **SCHEDULER)
    return pipeline, weight_checksums(adapter, of_variant, part=True)
