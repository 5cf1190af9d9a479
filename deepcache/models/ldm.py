"""From CompVis's LDM-4-G checkpoint to diffusers' classes.

The official file is a Lightning checkpoint in torch's pickle format. Nothing in it is executed: tensors are read by
torch's restricted unpickler, and the few classes that the training state mentions are replaced by an inert one.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from deepcache.errors import DeepCacheError
from deepcache.models import ldm_config
from deepcache.models.ldm_config import CLASS_KEY, CLASSES, CODEBOOK_KEY, FIRST_STAGE, UNET
from deepcache.models.ldm_pipeline import ClassEmbedder, LDMClassPipeline
from deepcache.models.state_dicts import SHOWN

# Parts of the model, and what lies among them without being it: the losses and averages of the first stage's training.
PARTS = (UNET, FIRST_STAGE, CLASSES)
NOT_PARTS = (f"{FIRST_STAGE}loss.", f"{FIRST_STAGE}model_ema.")

# What Lightning's training state mentions beside tensors: its callbacks' classes, and NumPy's scalars.
CALLBACKS = "pytorch_lightning.callbacks."
SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")

# DDIM as CompVis has it: betas linear in sqrt space, timesteps plus 1, and after the last one the alpha of timestep 0.
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0015,
    "beta_end": 0.0195,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


class _Inert:
    """Stands in for whatever a training state mentions: takes all arguments, keeps and does nothing."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass


def load_compvis(path: str | Path, dtype: torch.dtype = torch.float32, latent_size: int = 64) -> LDMClassPipeline:
    """Read a CompVis LDM-4-G checkpoint as a diffusers pipeline, on the CPU and in evaluation mode.

    Args:
        path: a Lightning checkpoint or a bare state dict, in torch's format or in safetensors (`*.safetensors`).
        dtype: of the weights.
        latent_size: height and width of the latents; 64 in the official model (images of 256 pixels).

    Raises:
        DeepCacheError: if the file cannot be read without running code, or is no such model.
    """
    try:
        return convert(read_state_dict(path), dtype, latent_size)
    except DeepCacheError as error:
        raise DeepCacheError(f"{path}: {error}") from error


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the state dict of a checkpoint, without running code that the file may contain.

    Raises:
        DeepCacheError: if the file is missing, damaged or no checkpoint, or needs more than tensors to be built.
    """
    path = Path(path)
    if not path.is_file():
        raise DeepCacheError("no such file")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if isinstance(content, Mapping) and "state_dict" in content:
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise DeepCacheError("holds no state dict (names of weights with their tensors)")
    return dict(content)


def convert(
    state_dict: Mapping[str, torch.Tensor], dtype: torch.dtype = torch.float32, latent_size: int = 64
) -> LDMClassPipeline:
    """Build diffusers' models from CompVis's weights.

    Args:
        state_dict: CompVis's weights; training state among them is ignored. May be on the device "meta".
        dtype: of the weights.
        latent_size: height and width of the latents.

    Raises:
        DeepCacheError: if keys are missing or unexpected, or a tensor has another shape than its model's.
    """
    from diffusers import DDIMScheduler, UNet2DConditionModel, VQModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    weights = {
        key: value for key, value in state_dict.items() if key.startswith(PARTS) and not key.startswith(NOT_PARTS)
    }
    _check_tensors(state_dict, weights)
    shapes = {key: tuple(value.shape) for key, value in weights.items()}
    unet = ldm_config.unet_config(shapes, latent_size)
    vq = ldm_config.vq_config(shapes, latent_size, _scale_factor(state_dict))
    ldm_config.check_keys(shapes, unet, vq)

    first_stage = {key: value for key, value in weights.items() if key.startswith(FIRST_STAGE)}
    codebook = {"quantize.embedding.weight": weights[CODEBOOK_KEY]}  # diffusers' function leaves it out
    return LDMClassPipeline(
        _build(UNet2DConditionModel, unet, convert_ldm_unet_checkpoint(weights, unet), dtype),
        _build(VQModel, vq, {**convert_ldm_vae_checkpoint(first_stage, vq), **codebook}, dtype),
        _build(ClassEmbedder, ldm_config.class_config(shapes), {"embedding.weight": weights[CLASS_KEY]}, dtype),
        DDIMScheduler(**SCHEDULER),
    )


def _check_tensors(state_dict: Mapping, weights: Mapping) -> None:
    if not weights:
        names = ", ".join(list(state_dict)[:SHOWN])
        raise DeepCacheError(f"no key begins with {', '.join(PARTS)} among {len(state_dict)} ({names}): not LDM-4-G")
    others = [key for key, value in weights.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise DeepCacheError(f"{others[0]} is no tensor ({type(weights[others[0]]).__name__})")


def _scale_factor(state_dict: Mapping) -> float:
    """What latents are multiplied by before diffusion; it is in a checkpoint only where the training measured it."""
    value = state_dict.get("scale_factor", torch.tensor(1.0))
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        raise DeepCacheError("scale_factor is no single number")
    return value.item()


def _build(model_class: type[nn.Module], config: dict, weights: dict[str, torch.Tensor], dtype: torch.dtype):
    """Make a model that holds these weights; no memory is taken for any others."""
    with torch.device("meta"):
        model = model_class(**config)
    for name, expected in model.state_dict().items():
        if weights[name].shape != expected.shape:
            raise DeepCacheError(
                f"{model_class.__name__} {name} has shape {tuple(weights[name].shape)}, not {tuple(expected.shape)}"
            )
    model.load_state_dict({name: value.to(dtype).contiguous() for name, value in weights.items()}, assign=True)
    return model.eval()


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DeepCacheError(f"damaged, or no safetensors file ({_first_line(error)})") from error


def _read_pickle(path: Path):
    """Read a file that `torch.save` wrote, without running code."""
    try:
        zipped = zipfile.is_zipfile(path)  # the format since PyTorch 1.6, which names what it mentions
        mentioned = torch.serialization.get_unsafe_globals_in_checkpoint(path) if zipped else []
        _refuse([name for name in mentioned if not name.startswith(CALLBACKS) and name not in SCALARS])
        with torch.serialization.safe_globals([(_Inert, name) for name in mentioned]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the pickle's version: what cannot be read is an error
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except DeepCacheError:
        raise
    except Exception as error:  # damaged bytes can raise anything
        if isinstance(error, pickle.UnpicklingError):
            _refuse(re.findall(r"GLOBAL (\S+)", str(error))[:1])
        raise DeepCacheError(f"damaged, or no checkpoint of torch's ({_first_line(error)})") from error


def _refuse(names: list[str]) -> None:
    """Refuse a pickle that wants anything by name beyond tensors and a training state."""
    if names:
        shown = ", ".join(sorted(names)[:SHOWN]) + (f" and {len(names) - SHOWN} more" * (len(names) > SHOWN))
        raise DeepCacheError(
            f"refused: a pickle that wants {shown}, which could run code; only tensors and training state are read"
        )


def _first_line(error: Exception) -> str:
    text = str(error).partition("WeightsUnpickler error: ")[2] or str(error) or type(error).__name__
    return text.strip().splitlines()[0][:200]
