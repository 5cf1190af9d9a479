"""What a text-to-image model is trained on: pictures, and what is said of each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers import StableDiffusionPipeline

from deepcache.data.digit_prompts import captions
from deepcache.data.digits import load_digits
from deepcache.data.emoji import seen_and_unseen
from deepcache.models import digits_sd, emoji_sd
from deepcache.models.small_stable_diffusion import IMAGE_SIZE
from deepcache.training.held_out import split

PROMPT_DROPOUT = 0.1  # share of images that are trained without their prompt, for guidance


@dataclass(frozen=True)
class Described:
    """Pictures and what is said of them.

    Attributes:
        images: float32, shape (N, 3, H, W), scaled to [-1, 1].
        labels: what each shows, int64, shape (N,).
        texts: everything that is said of each label, as many phrasings of each.
        unseen: images that nothing is trained on, scaled alike, shape (M, 3, H, W): they measure the first stage. None:
            those do that `split` takes of `images` for it.
    """

    images: torch.Tensor
    labels: torch.Tensor
    texts: list[list[str]]
    unseen: torch.Tensor | None = None

    def for_first_stage(self, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The images that the first stage is trained on, and those that measure it."""
        if self.unseen is not None:
            return self.images, self.unseen
        held_out, used = split(len(self.images), seed)
        return self.images[used], self.images[held_out]


@dataclass(frozen=True)
class TextToImage:
    """A text-to-image model and what it learns from.

    Attributes:
        name: of the model.
        pipeline: makes it, with random weights.
        described: loads the pictures.
    """

    name: str
    pipeline: Callable[[], StableDiffusionPipeline]
    described: Callable[[], Described]


def described_digits() -> Described:
    """All digits in colour, 32x32."""
    images, labels = load_digits(IMAGE_SIZE)
    return Described(_scaled(images).repeat(1, 3, 1, 1), labels, captions())


def described_emoji() -> Described:
    """The emoji of one style, each with its prompt, those with held-out names apart."""
    seen, unseen = seen_and_unseen()
    images, held_out = (_scaled(torch.from_numpy(emoji.images).permute(0, 3, 1, 2)) for emoji in (seen, unseen))
    return Described(images, torch.arange(len(seen)), [[prompt] for prompt in seen.prompts], held_out)


def _scaled(images: torch.Tensor) -> torch.Tensor:
    return images.float() / 127.5 - 1


DIGITS = TextToImage("digits-sd", digits_sd.digits_sd_pipeline, described_digits)
EMOJI = TextToImage("emoji-sd", emoji_sd.emoji_sd_pipeline, described_emoji)
