"""Checkpoints of Stable Diffusion in diffusers' format, opened for a task."""

import json
from pathlib import Path

import torch
from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    AutoPipelineForText2Image,
    DiffusionPipeline,
)

from deepcache.errors import DeepCacheError, reason
from deepcache.files import UNREADABLE, sha256
from deepcache.models.checkpoints import WEIGHTS, open_checkpoint
from deepcache.models.pipeline_parts import load_text_encoders, why_not_loaded
from deepcache.progress import progress

TASKS = {
    "text-to-image": AutoPipelineForText2Image,
    "image-to-image": AutoPipelineForImage2Image,
    "inpainting": AutoPipelineForInpainting,
}
# What a checkpoint's model_index.json may name; each can be opened for every task.
PIPELINES = tuple(f"StableDiffusion{size}{task}Pipeline" for size in ("", "XL") for task in ("", "Img2Img", "Inpaint"))


def find_checkpoint(place: str | Path, variant: str | None = None) -> tuple[Path, dict[str, str]]:
    """Return a checkpoint's folder and the SHA-256 of its weights by file name.

    Args:
        place: a folder in diffusers' format, or a checkpoint's manifest.
        variant: of the weights, such as `fp16`, where a part has it.

    Raises:
        DeepCacheError: if it is neither, none of Stable Diffusion's pipelines, or no part has that variant.
    """
    place = Path(place)
    if place.is_file():
        folder, manifest = open_checkpoint(place)
        _check_index(folder)
        chosen = _of_variant(list(map(Path, manifest["sha256"])), variant, folder)
        return folder, {path.as_posix(): manifest["sha256"][path.as_posix()] for path in chosen}
    if not place.is_dir():
        raise DeepCacheError(f"{place}: no such checkpoint: give a folder in diffusers' format, or a manifest")
    _check_index(place)
    return place, weight_checksums(place, variant)


def weight_checksums(folder: Path, variant: str | None = None) -> dict[str, str]:
    """SHA-256 of the weights of a folder in diffusers' format, by file name; `variant` as in `find_checkpoint`."""
    files = []
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        # diffusers prefers safetensors: the same weights may lie beside them in other formats.
        weights = sorted(path for path in part.iterdir() if path.suffix in WEIGHTS and path.is_file())
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


def pipeline_class(folder: Path) -> str:
    """Name of the pipeline that a checkpoint is of; DeepCacheError if the folder holds none."""
    return _read_index(folder)["_class_name"]


def _read_index(folder: Path) -> dict:
    index = folder / "model_index.json"
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        content["_class_name"]  # a KeyError counts as unreadable
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(
            f"{index}: cannot be read, so this is no diffusers checkpoint ({reason(error)})"
        ) from error
    return content


def _check_index(folder: Path) -> None:
    index, content = folder / "model_index.json", _read_index(folder)
    kind = content["_class_name"]
    if "unet" not in content:
        raise DeepCacheError(f"{index}: {kind} has no U-Net: DeepCache needs skip connections")
    if kind not in PIPELINES:
        raise DeepCacheError(f"{index}: {kind} is not among the known pipelines ({', '.join(PIPELINES)})")


def load_pipeline(
    folder: str | Path, task: str, device: str | torch.device, dtype: torch.dtype, variant: str | None = None
) -> DiffusionPipeline:
    """Load a checkpoint as the pipeline of a task; the safety checker is as the checkpoint has it.

    Args:
        folder: the checkpoint's.
        task: a name in TASKS.
        device: where it is to run.
        dtype: of weights and activations.
        variant: see `find_checkpoint`.

    Raises:
        DeepCacheError: if diffusers cannot load it, or it is made for another task.
    """
    if task == "text-to-image" and _read_index(Path(folder)).get("requires_aesthetics_score"):
        raise DeepCacheError(f"{folder}: it refines images and makes none from noise: give --images")
    try:
        encoders = load_text_encoders(Path(folder), dtype, variant=variant)
        how = {"dtype": dtype, "local_files_only": True, "variant": variant}
        pipeline = TASKS[task].from_pretrained(folder, **how, **encoders)
    except Exception as error:  # of many kinds where files are missing or damaged
        raise DeepCacheError(f"{folder}: diffusers cannot load it ({why_not_loaded(error)})") from error
    latent, wanted = pipeline.vae.config.latent_channels, pipeline.unet.config.in_channels
    # A U-Net made for inpainting takes the mask and the masked image as well.
    if wanted != latent and not (task == "inpainting" and wanted == 2 * latent + 1):
        raise DeepCacheError(f"{folder}: its U-Net takes {wanted} channels, so it is not made for {task}")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)
