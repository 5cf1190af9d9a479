"""Families of image models: a checkpoint says by its pipeline class which one it belongs to."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from deepcache.data.picture_prompts import PicturePrompts
from deepcache.errors import DeepCacheError, reason
from deepcache.files import UNREADABLE
from deepcache.models.pipeline_parts import why_not_loaded
from deepcache.runs.families import PIPELINES
from deepcache.sampling.image_to_video import ImageToVideo
from deepcache.sampling.latent_class import LatentClass
from deepcache.sampling.model import ImageModel, part_folder
from deepcache.sampling.pixel_ddpm import PixelDDPM
from deepcache.sampling.text_to_image import TextToImage

# By the pipeline class in a checkpoint's model_index.json.
MODELS: tuple[type[ImageModel], ...] = (PixelDDPM, LatentClass, TextToImage, ImageToVideo)
FAMILIES = {name: next(one for one in MODELS if one.family == family) for name, family in PIPELINES.items()}
PRECISIONS = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def load_model(
    folder: str | Path,
    device: str | torch.device,
    precision: str = "float32",
    prompts: Sequence[str] | PicturePrompts | None = None,
    negative_prompt: str | None = None,
) -> ImageModel:
    """Load a checkpoint in diffusers' format, in evaluation mode.

    Args:
        folder: the checkpoint.
        device: where the model runs.
        precision: of weights and activations, a name in PRECISIONS.
        prompts: what a text-to-image model paints, or an image-to-video model starts from; for these alone, and
            required there.
        negative_prompt: what a text-to-image model's guidance leads away from; for these alone.

    Raises:
        DeepCacheError: if the folder is no such checkpoint or of a family that is not known, or prompts are missing,
            not wanted, also by a negative prompt, or of another kind.
    """
    family = _family(folder)
    if precision not in PRECISIONS:
        raise DeepCacheError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    _check_prompts(folder, family, prompts)
    options = {} if prompts is None else {"prompts": prompts}
    if negative_prompt is not None:
        if family.family.prompts != "texts":
            raise DeepCacheError(f"{folder}: a negative prompt needs prompts, texts: correct the model's entry")
        options["negative_prompt"] = negative_prompt
    try:
        return family(Path(folder), torch.device(device), PRECISIONS[precision], **options)
    except (DeepCacheError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # of many kinds where files are missing, damaged or another model's
        raise DeepCacheError(
            f"{folder}: cannot be loaded as {family.family.words} ({why_not_loaded(error)})"
        ) from error


def _check_prompts(folder: str | Path, family: type[ImageModel], prompts: Sequence | None) -> None:
    wanted = family.family.prompts
    given = None if prompts is None else "pictures" if isinstance(prompts, PicturePrompts) else "texts"
    if given == wanted:
        return
    problem = f"is prompted by {wanted}, not by {given}"
    if None in (wanted, given):
        problem = "takes no prompts" if wanted is None else "needs prompts"
    raise DeepCacheError(f"{folder}: {family.__name__} {problem}: correct the model's `prompts` in the config")


def bare_unet(folder: str | Path) -> tuple[torch.nn.Module, int | None]:
    """A checkpoint's U-Net without its weights, on the device "meta", and the length of its context (see ImageModel).

    Raises:
        DeepCacheError: as `load_model`.
    """
    import diffusers

    family, place = _family(folder), part_folder(Path(folder), "unet")
    try:
        config = json.loads((place / "config.json").read_text(encoding="utf-8"))
        with torch.device("meta"):
            unet = getattr(diffusers, config["_class_name"]).from_config(config).eval().to("meta")
    except Exception as error:  # of many kinds where a key is missing or of another model
        problem = f"cannot be read as a U-Net's config ({reason(error)})"
        raise DeepCacheError(f"{place / 'config.json'}: {problem}") from error
    return unet, _prompt_tokens(Path(folder)) or family.context_tokens


def _prompt_tokens(folder: Path) -> int | None:
    """How long a prompt is for the checkpoint's text encoder; None where it has none."""
    config = folder / "text_encoder" / "config.json"
    try:
        return json.loads(config.read_text(encoding="utf-8"))["max_position_embeddings"] if config.is_file() else None
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{config}: cannot be read as a text encoder's config ({error})") from error


def _family(folder: str | Path) -> type[ImageModel]:
    index = Path(folder) / "model_index.json"
    try:
        kind = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(f"{index}: cannot be read as a diffusers pipeline ({error})") from error
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise DeepCacheError(f"{index}: {kind} is not among the known pipelines ({', '.join(FAMILIES)})")
    return FAMILIES[kind]
