"""Checkpoints with random weights, of the paper's architectures, SDXL and Stable Video Diffusion.

The workflow runs on them without a download.

Their images show nothing, and no metric of them means anything. A new architecture is one function, which builds it
on the device "meta", and one line in RANDOM.
"""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from deepcache.errors import DeepCacheError
from deepcache.files import atomic, check_replaceable, write_json
from deepcache.models.emoji_sd import emoji_sd_pipeline
from deepcache.models.paper_pipelines import ddpm, ldm_class, stable_diffusion
from deepcache.models.random_alexnet import AlexNetWeights
from deepcache.models.random_clip import ClipWeights
from deepcache.models.random_inception import InceptionWeights
from deepcache.models.sdxl import stable_diffusion_xl
from deepcache.models.svd import stable_video_diffusion
from deepcache.progress import progress

RECORD = "random.json"  # says in each folder how its weights were drawn


def any_size(build: Callable) -> Callable:
    """A builder of what measures images; DeepCacheError if it gets a `sample_size`, which such a network has not."""

    def builder(architecture: str, sample_size: int | None):
        if sample_size is not None:
            raise DeepCacheError(f"{architecture} takes images of any size: leave sample_size out")
        return build()

    return builder


def of_one_size(build: Callable) -> Callable:
    """A builder of a model of the emoji suite; DeepCacheError if it gets a `sample_size`, of which it has but one."""

    def builder(architecture: str, sample_size: int | None):
        if sample_size is not None:
            raise DeepCacheError(f"{architecture} has one size: leave sample_size out")
        with torch.device("meta"):
            return build()

    return builder


RANDOM = {
    "ddpm-cifar10": ddpm,
    "ddpm-lsun-bedroom": ddpm,
    "ddpm-lsun-churches": ddpm,
    "ldm4g-imagenet": ldm_class,
    "sd-v1-5": stable_diffusion,
    "bk-sdm-base": stable_diffusion,
    "bk-sdm-small": stable_diffusion,
    "bk-sdm-tiny": stable_diffusion,
    "emoji-sd": of_one_size(emoji_sd_pipeline),
    "emoji-bk-sdm": of_one_size(partial(emoji_sd_pipeline, layers_per_block=1)),
    "sdxl": stable_diffusion_xl,
    "sdxl-tiny": stable_diffusion_xl,
    "svd": stable_video_diffusion,
    "svd-tiny": stable_video_diffusion,
    "inception": any_size(InceptionWeights),
    "clip-vit-b-32": any_size(ClipWeights),
    "lpips-alexnet": any_size(AlexNetWeights),
}


def write_random(architecture: str, folder: str | Path, seed: int, sample_size: int | None = None) -> None:
    """Write a checkpoint with random weights: a pipeline in diffusers' format, fp16, or a network that measures images.

    The same arguments give the same bytes. Pipelines are best opened with `dtype=torch.float32`: otherwise
    transformers keeps the text encoder in fp16, which diffusers does not do with its models.

    Args:
        architecture: a name in RANDOM.
        folder: appears when everything is in it; an earlier one that this function wrote is replaced.
        seed: of the weights.
        sample_size: side of the U-Net's input, pixels or latents; default: the original's. See
            deepcache.models.paper_pipelines for the smallest; of sdxl and sdxl-tiny it is 4, of svd and svd-tiny 8.

    Raises:
        DeepCacheError: if the architecture is not known, there is no such seed or sample size, or the folder holds
            something else.
    """
    if architecture not in RANDOM:
        raise DeepCacheError(f"architecture must be one of {', '.join(RANDOM)}, not {architecture!r}")
    if not 0 <= seed < 2**63:
        raise DeepCacheError(f"seed must be from 0 to 2^63 - 1, not {seed}")
    check_replaceable(folder, RECORD)
    model = RANDOM[architecture](architecture, sample_size)
    parts = [part for part in model.components.values() if isinstance(part, nn.Module)]
    generator = torch.Generator().manual_seed(seed)
    total = sum(tensor.nbytes for part in parts for tensor in part.state_dict().values())
    with atomic(folder) as temporary:
        with progress(None, f"{architecture} random weights", unit="B", total=total, unit_scale=True) as bar:
            for part in parts:
                _draw(part, generator, bar.update)
        model.save_pretrained(temporary)
        write_json(temporary / RECORD, {"architecture": architecture, "seed": seed, "sample_size": sample_size})


def _draw(model: nn.Module, generator: torch.Generator, on_bytes: Callable[[int], None]) -> None:
    """Give a model on "meta" weights in its own types; `on_bytes` is called with the size of each tensor."""
    weights = {}
    for name, bare in model.state_dict().items():
        weights[name] = torch.empty_like(bare, device="cpu")
        layer, _, role = name.rpartition(".")
        _fill(weights[name], model.get_submodule(layer), role, generator)
        on_bytes(bare.nbytes)
    model.load_state_dict(weights, assign=True)


def _fill(tensor: torch.Tensor, layer: nn.Module, role: str, generator: torch.Generator) -> None:
    """Fill one tensor so that activations keep their size: biases 0, norms 1, embeddings of variance 1.

    Linear layers and convolutions have the variance of He et al. 2015, 2 / fan-in, which is made for ReLU and near
    enough for SiLU and GELU. Uniform numbers, since normal ones depend on the processor in their last bits.
    """
    if tensor.ndim > 1:
        variance = 1 if isinstance(layer, nn.Embedding) else 2 / tensor[0].numel()
        bound = math.sqrt(3 * variance)
        tensor.uniform_(-bound, bound, generator=generator)
    else:
        tensor.fill_(1 if role in ("weight", "running_var") else 0)
