"""What a pipeline in a folder is made of: every part is there, its weights are its own, and no code in it is run."""

import logging
import pickle
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from deepcache.errors import DeepCacheError, reason
from deepcache.json_values import read_object
from deepcache.models.checkpoints import WEIGHTS
from deepcache.models.state_dicts import SHOWN

NOT_RUN = "holds more than weights, and nothing in it is run: get it again"


def load_encoders(
    folder: Path, dtype: torch.dtype, without: Collection[str] = (), variant: str | None = None
) -> dict[str, torch.nn.Module]:
    """Load the encoders of texts and pictures that a pipeline's model_index.json names, by their names there.

    transformers draws weights that it does not find, with no more than a warning, and a tokenizer without files splits
    words into letters: what is missing is an error here.

    Args:
        folder: the pipeline's.
        dtype: of the weights.
        without: parts that need not be there.
        variant: of the files of weights, such as `fp16`, where an encoder has it.

    Raises:
        DeepCacheError: if a part that the index names has no folder, or an encoder lacks weights.
    """
    import transformers

    encoders = {}
    for name, entry in read_object(folder / "model_index.json").items():
        if not isinstance(entry, list) or None in entry or name in without or name.startswith("_"):
            continue
        if not (folder / name).is_dir():
            raise DeepCacheError(f"{folder / name} is missing, which model_index.json names: get the checkpoint again")
        library, kind = entry
        if name.startswith(("text_encoder", "image_encoder")) and library == "transformers":
            has_it = variant is not None and any((folder / name).glob(f"*.{variant}[.-]*"))
            encoders[name] = _whole(getattr(transformers, kind), folder / name, dtype, variant if has_it else None)
    return encoders


def _whole(kind: type, place: Path, dtype: torch.dtype, variant: str | None) -> torch.nn.Module:
    how = {"dtype": dtype, "local_files_only": True, "variant": variant}
    model, found = kind.from_pretrained(place, output_loading_info=True, **how)
    if missing := sorted(found["missing_keys"]):
        names = f"{', '.join(missing[:SHOWN])}{', ...' if len(missing) > SHOWN else ''}"
        raise DeepCacheError(f"{place}: its weights are another model's: {len(missing)} are missing ({names})")
    return model


def sole_variant(folder: Path) -> str | None:
    """The variant, such as `fp16`, of which all of the U-Net's weights are; None where there are others."""
    names = [path.name for path in (folder / "unet").glob("*") if path.suffix in WEIGHTS]
    # diffusion_pytorch_model[.variant][-00001-of-00002].safetensors
    found = {name.split(".")[1].partition("-")[0] if name.count(".") > 1 else None for name in names}
    return found.pop() if len(found) == 1 else None


def why_not_loaded(error: BaseException) -> str:
    """Why a pipeline could not be loaded, in one line, without a library's advice to run what is in the folder."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, pickle.UnpicklingError):
            return f"a file of weights {NOT_RUN}"
        link = link.__cause__ or link.__context__
    text = reason(error)
    return "it names code of its own, which is not run" if "custom code" in text else text


@contextmanager
def without_false_alarm() -> Iterator[None]:
    """Inside, no warning of modules that must keep their type where there are none, which diffusers gives."""
    logger = logging.getLogger("diffusers.models.modeling_utils")
    before = list(logger.filters)
    logger.addFilter(lambda record: "should be kept in float32: []" not in record.getMessage())
    try:
        yield
    finally:
        logger.filters = before
