"""A checkpoint opened to be tuned."""

from dataclasses import dataclass
from pathlib import Path

import torch

from deepcache.data.prompts import read_prompts
from deepcache.errors import DeepCacheError
from deepcache.generation.checkpoints import find_checkpoint, load_pipeline, weight_checksums
from deepcache.generation.model_index import pipeline_class
from deepcache.models.checkpoints import open_checkpoint
from deepcache.runs.families import PIPELINES
from deepcache.sampler import GUIDANCE_SCALE, Sampler
from deepcache.sampling.families import PRECISIONS, load_model
from deepcache.sampling.model import ImageModel
from deepcache.sampling.pipeline_model import PipelineModel

OWN = "prompts.txt"  # in a checkpoint's folder: what it is used for
GENERAL = (
    "a photo of a dog on a beach",
    "an old man reading a newspaper in a cafe",
    "a red bicycle leaning against a brick wall",
    "a bowl of fruit on a wooden table, oil painting",
    "a city street at night in the rain",
    "a portrait of a woman with a blue hat",
    "snowy mountains above a lake at sunrise",
    "a robot watering flowers, digital art",
    "two children flying a kite in a field",
    "a slice of chocolate cake on a white plate",
    "a sailing ship in a storm, engraving",
    "a cat asleep on a pile of books",
)


@dataclass(frozen=True)
class Opened:
    """What is tuned.

    Attributes:
        name: of the checkpoint.
        model: makes the images.
        usual: how it is sampled without caching.
        prompts: what it paints; None where it takes none.
        sha256: of its weight files, by name.
    """

    name: str
    model: ImageModel
    usual: Sampler
    prompts: list[str] | None
    sha256: dict[str, str]


def open_tuned(
    place: Path,
    device: torch.device,
    precision: str,
    prompts: Path | None,
    steps: int,
    guidance_scale: float | None,
    call: dict | None = None,
    variant: str | None = None,
) -> Opened:
    """Open a checkpoint.

    Args:
        place: a folder in diffusers' format, or a checkpoint's manifest.
        device: where it runs.
        precision: of weights and activations, a name in PRECISIONS.
        prompts: file of what it is used for; None: `prompts.txt` in its folder, or general ones.
        steps: how many it usually takes.
        guidance_scale: with which; None: 7.5 for text-to-image, else 1.
        call: more arguments of a pipeline's call, such as `height`.
        variant: of the weights, see `find_checkpoint`; for text-to-image.

    Raises:
        DeepCacheError: if it cannot be loaded, or takes no prompts or no guidance, or pictures in place of texts.
    """
    folder = open_checkpoint(place)[0] if place.is_file() else place
    if not folder.is_dir():
        raise DeepCacheError(f"{place}: no such checkpoint: give a folder in diffusers' format, or a manifest")
    family = PIPELINES.get(pipeline_class(folder))
    if family is not None and family.prompts == "pictures":
        raise DeepCacheError(f"{place}: {family.words} starts from pictures, and what is tuned paints from texts")
    prompted = family is None or family.prompted  # what is not known here is refused by `find_checkpoint`
    if not prompted and prompts is not None:
        raise DeepCacheError(f"--prompts: {place} paints from none: leave it out")
    if not prompted and variant is not None:
        raise DeepCacheError(f"--variant: {place} has none: leave it out")
    scale = (GUIDANCE_SCALE if prompted else 1.0) if guidance_scale is None else guidance_scale
    usual = Sampler("ddim", steps, guidance_scale=scale)
    if family is not None:
        family.check(usual)
    texts = None
    if prompted:
        _, sha256 = find_checkpoint(place, variant)
        own = folder / OWN
        texts = read_prompts(prompts or own) if prompts or own.is_file() else list(GENERAL)
        pipeline = load_pipeline(folder, "text-to-image", device, PRECISIONS[precision], variant)
        model = PipelineModel(pipeline, texts, call)
    else:
        sha256 = open_checkpoint(place)[1]["sha256"] if place.is_file() else weight_checksums(place)
        model = load_model(folder, device, precision)
    return Opened(folder.name, model, usual, texts, sha256)
