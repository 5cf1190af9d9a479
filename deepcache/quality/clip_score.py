"""CLIP score: how well images fit the prompts that they were made from (Hessel et al. 2021; Table 3 of the paper).

The score of an image is max(0, 100 cos), of the angle between the CLIP embeddings of the image and of its prompt; that
of a run is the mean over its images. The paper's network is open_clip's ViT-g-14, laion2b_s34b_b88k.
"""

import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip import create_model_from_pretrained, get_input_dtype, get_tokenizer
from PIL import Image
from safetensors import SafetensorError
from torch import nn

from deepcache.data.datasets import batches
from deepcache.errors import DeepCacheError, reason
from deepcache.fitting import Fitting
from deepcache.models.emoji_clip import EmojiClip, holds_emoji_clip
from deepcache.precision import exact
from deepcache.progress import progress
from deepcache.quality.image_sets import ImageSet

PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}  # as open_clip calls them
# What open_clip, torch, safetensors and transformers raise over a folder that is not what they expect.
FAULTS = (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, SafetensorError)


class Scorer(ABC):
    """A model that sees images and reads texts."""

    @abstractmethod
    def see(self, images: np.ndarray) -> torch.Tensor:
        """Embeddings, shape (B, D), of uint8 images, shape (B, H, W, 1 or 3)."""

    @abstractmethod
    def read(self, texts: list[str]) -> torch.Tensor:
        """Embeddings of texts, shape (len(texts), D)."""

    def scores(self, images: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """CLIP scores of a batch, each image against its prompt; a prompt that comes twice is embedded once.

        Args:
            images: uint8, shape (B, H, W, 1 or 3).
            prompts: B texts.

        Returns:
            max(0, 100 cos), 0 to 100, float64, shape (B,).

        Raises:
            DeepCacheError: if the numbers of images and prompts differ, or an embedding is not finite.
        """
        if len(images) != len(prompts):
            raise DeepCacheError(f"{len(images)} images, but {len(prompts)} prompts: there must be one for each image")
        distinct = list(dict.fromkeys(prompts))
        row = {prompt: number for number, prompt in enumerate(distinct)}
        with torch.inference_mode(), exact():  # so the same in every run
            seen, read = self.see(images).cpu().double(), self.read(distinct).cpu().double()
        cosines = F.cosine_similarity(seen, read[[row[prompt] for prompt in prompts]])
        if not cosines.isfinite().all():
            raise DeepCacheError("CLIP's embeddings hold NaN or infinity: use precision float32")
        return (100 * cosines).clamp(min=0).numpy()


class Clip(Scorer):
    """A CLIP model with its own way of preparing images and texts.

    Args:
        model: open_clip's, on the device.
        preprocess: turns a PIL image into what the model sees, float32, shape (3, S, S).
        tokenizer: turns texts into ids, int64, shape (B, context); longer texts are cut.
        device: where the model is.
        dtype: what the model expects images in; None: float32.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocess: Callable[[Image.Image], torch.Tensor],
        tokenizer: Callable[[list[str]], torch.Tensor],
        device: torch.device,
        dtype: torch.dtype | None,
    ):
        self._model = model
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self._device = device
        self._dtype = dtype

    def see(self, images: np.ndarray) -> torch.Tensor:  # noqa: D102
        pixels = torch.stack([self._preprocess(_picture(image)) for image in images])
        return self._model.encode_image(pixels.to(self._device, self._dtype))

    def read(self, texts: list[str]) -> torch.Tensor:  # noqa: D102
        return self._model.encode_text(self._tokenizer(texts).to(self._device))


class EmojiScorer(Scorer):
    """`emoji-clip`, see deepcache.models.emoji_clip.

    Args:
        folder: where it lies.
        device: where to compute.
    """

    def __init__(self, folder: Path, device: torch.device):
        maps, network = EmojiClip.from_pretrained(folder)
        self._maps, self._network, self._device = maps.to(device), network.to(device), device

    def see(self, images: np.ndarray) -> torch.Tensor:  # noqa: D102
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().to(self._device)
        return self._maps.embed_features(self._network.features(pixels))

    def read(self, texts: list[str]) -> torch.Tensor:  # noqa: D102
        return self._maps.encode_text(texts)


def load_clip(folder: str | Path, device: torch.device, precision: str = "float32") -> Scorer:
    """Load a CLIP model, or emoji-clip, in evaluation mode; nothing is downloaded and no pickled code is run.

    Args:
        folder: what open_clip reads as `local-dir:`: open_clip_config.json, one file of weights, and, where the config
            names a tokenizer of transformers, that one's files. Or what EmojiClip saved.
        device: where to compute.
        precision: of weights and activations, a name in PRECISIONS; emoji-clip has float32 alone.

    Raises:
        DeepCacheError: if the folder is no such model, or not one of that precision.
    """
    if holds_emoji_clip(Path(folder)):
        if precision != "float32":
            raise DeepCacheError(f"{folder}: emoji-clip is in float32: leave --precision {precision} out")
        return EmojiScorer(Path(folder), device)
    name = f"local-dir:{folder}"
    try:
        model, preprocess = create_model_from_pretrained(name, precision=PRECISIONS[precision])
        tokenizer = get_tokenizer(name)
    except pickle.UnpicklingError as error:
        raise DeepCacheError(f"{folder}: holds more than weights, and nothing in it is run: get it again") from error
    except FAULTS as error:
        raise DeepCacheError(f"{folder}: not a CLIP model that open_clip reads ({reason(error)})") from error
    # open_clip returns models in training mode.
    model = model.requires_grad_(False).eval().to(device)
    return Clip(model, preprocess, tokenizer, device, get_input_dtype(PRECISIONS[precision]))


def score_images(clip: Scorer, images: ImageSet, prompts: Sequence[str], batch_size: int = 32) -> np.ndarray:
    """CLIP scores of all images: image j against prompt j, counted round the list where there are fewer.

    Args:
        clip: the model.
        images: gone through once.
        prompts: in order.
        batch_size: images at a time.

    Returns:
        0 to 100, float64, shape (n,).
    """
    shown, prompt = progress(images.images, "CLIP score", unit="image", total=images.count), cycle(prompts)
    scores = Fitting(clip.scores)
    return np.concatenate(
        [part for batch in batches(shown, batch_size) for part in scores(batch, list(islice(prompt, len(batch))))]
    )


def _picture(image: np.ndarray) -> Image.Image:
    """Grey becomes colour here: not every preprocessing of open_clip does that."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).convert("RGB")
