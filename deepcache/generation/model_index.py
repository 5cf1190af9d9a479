"""A checkpoint's model_index.json: which of diffusers' pipelines it is of."""

import json
from collections.abc import Sequence
from pathlib import Path

from deepcache.errors import DeepCacheError, reason
from deepcache.files import UNREADABLE
from deepcache.models.checkpoints import read_manifest

REFINES = "requires_aesthetics_score"  # a refiner's index says so: SDXL's takes a score beside sizes


def read_index(folder: Path) -> dict:
    """What the file says; DeepCacheError if the folder holds none that names a pipeline."""
    index = folder / "model_index.json"
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        content["_class_name"]  # a KeyError counts as unreadable
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(
            f"{index}: cannot be read, so this is no diffusers checkpoint ({reason(error)})"
        ) from error
    return content


def pipeline_class(folder: Path) -> str:
    """Name of the pipeline that a checkpoint is of; DeepCacheError if the folder holds none."""
    return read_index(folder)["_class_name"]


def check_index(folder: Path, known: Sequence[str]) -> None:
    """DeepCacheError unless the checkpoint has a U-Net and is of one of the known pipelines."""
    index, content = folder / "model_index.json", read_index(folder)
    kind = content["_class_name"]
    if "unet" not in content:
        raise DeepCacheError(f"{index}: {kind} has no U-Net: DeepCache needs skip connections")
    if kind not in known:
        raise DeepCacheError(f"{index}: {kind} is not among the known pipelines ({', '.join(known)})")


def index_at(place: Path) -> dict:
    """The index of a folder or of a manifest's folder; empty where there is none, which who opens it refuses."""
    try:
        return read_index(read_manifest(place)[0] if place.is_file() else place)
    except DeepCacheError:
        return {}
