"""Checkpoints in diffusers' format that generate.py takes, opened for a task."""

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    AutoPipelineForText2Image,
    DiffusionPipeline,
)

from deepcache.errors import DeepCacheError
from deepcache.files import sha256
from deepcache.generation.kinds import IMAGES
from deepcache.generation.model_index import REFINES, check_index, read_index
from deepcache.models.checkpoints import WEIGHTS, open_checkpoint
from deepcache.models.pipeline_parts import load_encoders, why_not_loaded, without_false_alarm
from deepcache.progress import progress
from deepcache.sampling.image_to_video import NotWaiting

TASKS = {
    "text-to-image": AutoPipelineForText2Image,
    "image-to-image": AutoPipelineForImage2Image,
    "inpainting": AutoPipelineForInpainting,
    "text-to-video": AnimateDiffPipeline,
    "image-to-video": NotWaiting,
}


def find_checkpoint(
    place: str | Path, variant: str | None = None, known: Sequence[str] = IMAGES.pipelines
) -> tuple[Path, dict[str, str]]:
    """Return a checkpoint's folder and the SHA-256 of its weights by file name.

    Args:
        place: a folder in diffusers' format, or a checkpoint's manifest.
        variant: of the weights, such as `fp16`, where a part has it.
        known: names of the pipelines that it may be of.

    Raises:
        DeepCacheError: if it is neither, none of these pipelines, or no part has that variant.
    """
    place = Path(place)
    if place.is_file():
        folder, manifest = open_checkpoint(place)
        check_index(folder, known)
        chosen = _of_variant(list(map(Path, manifest["sha256"])), variant, folder)
        return folder, {path.as_posix(): manifest["sha256"][path.as_posix()] for path in chosen}
    if not place.is_dir():
        raise DeepCacheError(f"{place}: no such checkpoint: give a folder in diffusers' format, or a manifest")
    check_index(place, known)
    return place, weight_checksums(place, variant)


def weight_checksums(folder: Path, variant: str | None = None, part: bool = False) -> dict[str, str]:
    """SHA-256 of the weights of a folder in diffusers' format, by file name.

    Args:
        folder: of a pipeline.
        variant: see `find_checkpoint`.
        part: whether it is the folder of one part alone.
    """
    files = []
    for one in [folder] if part else sorted(path for path in folder.iterdir() if path.is_dir()):
        # diffusers prefers safetensors: the same weights may lie beside them in other formats.
        weights = sorted(path for path in one.iterdir() if path.suffix in WEIGHTS and path.is_file())
        files += [path for path in weights if path.suffix == ".safetensors"] or weights
    files = _of_variant(files, variant, folder)
    bar = progress(files, f"checksums of {folder.name}", unit="file")
    return {path.relative_to(folder).as_posix(): sha256(path) for path in bar}


def _of_variant(files: list[Path], variant: str | None, folder: Path) -> list[Path]:
    """Of each part the files of a variant; all where it has none, as diffusers does it."""
    if variant is None:
        return files
    mine = [path for path in files if f".{variant}." in path.name or f".{variant}-" in path.name]
    if not mine:
        raise DeepCacheError(f"--variant {variant}: {folder} has no weights of that variant: leave it out")
    having = {path.parent for path in mine}
    return [path for path in files if path in mine or path.parent not in having]


def load_pipeline(
    folder: str | Path,
    task: str,
    device: str | torch.device,
    dtype: torch.dtype,
    variant: str | None = None,
    **parts: torch.nn.Module,
) -> DiffusionPipeline:
    """Load a checkpoint as the pipeline of a task; the safety checker is as the checkpoint has it.

    Args:
        folder: the checkpoint's.
        task: a name in TASKS.
        device: where it is to run.
        dtype: of weights and activations.
        variant: see `find_checkpoint`.
        parts: of the pipeline that are not the checkpoint's own, by their names.

    Raises:
        DeepCacheError: if diffusers cannot load it, or it is made for another task.
    """
    if task == "text-to-image" and read_index(Path(folder)).get(REFINES):
        raise DeepCacheError(f"{folder}: it refines images and makes none from noise: give --images")
    try:
        encoders = load_encoders(Path(folder), dtype, without=parts, variant=variant)
        how = {"dtype": dtype, "local_files_only": True, "variant": variant}
        with without_false_alarm():
            pipeline = TASKS[task].from_pretrained(folder, **how, **encoders, **parts)
    except Exception as error:  # of many kinds where files are missing or damaged
        raise DeepCacheError(f"{folder}: diffusers cannot load it ({why_not_loaded(error)})") from error
    latent, wanted = pipeline.vae.config.latent_channels, pipeline.unet.config.in_channels
    # A U-Net made for inpainting takes the mask and the masked image as well, one made for videos the picture.
    taken = {"inpainting": (latent, 2 * latent + 1), "image-to-video": (2 * latent,)}
    if wanted not in taken.get(task, (latent,)):
        raise DeepCacheError(f"{folder}: its U-Net takes {wanted} channels, so it is not made for {task}")
    pipeline.set_progress_bar_config(disable=True)
    with without_false_alarm():
        return pipeline.to(device)
