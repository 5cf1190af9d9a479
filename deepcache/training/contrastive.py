"""Training of `digits-clip`: images and captions of the same digit get similar embeddings (Radford et al. 2021)."""

import dataclasses
from pathlib import Path

import torch
import torch.nn.functional as F

from deepcache.models.digits_clip import digits_clip, save_clip
from deepcache.models.digits_sd import digits_tokenizer
from deepcache.training.described import described_digits
from deepcache.training.held_out import HELD_OUT, split
from deepcache.training.loop import TrainingResult, TrainingSettings, fit
from deepcache.training.text_to_image import text_tokens

SHIFT = 3  # pixels by which training images are moved at most, so that those held out are read as well


def contrastive_loss(image: torch.Tensor, text: torch.Tensor, labels: torch.Tensor, scale: torch.Tensor):
    """CLIP's symmetric loss, in which every caption of the same digit is right (Khosla et al. 2020, Eq. 2).

    Args:
        image: embeddings of unit length, shape (B, D).
        text: embeddings of unit length, shape (B, D).
        labels: int64, shape (B,), the digits.
        scale: of the logits.
    """
    logits = scale * image @ text.T
    right = (labels[:, None] == labels).float()
    wanted = right / right.sum(1, keepdim=True)
    return (F.cross_entropy(logits, wanted) + F.cross_entropy(logits.T, wanted)) / 2


def train_clip(phases: dict[str, TrainingSettings], folder: Path) -> dict[str, TrainingResult]:
    """Train image and text encoder together and save the model in open_clip's format."""
    settings = phases["clip"]
    described = described_digits()
    data, labels = described.images, described.labels
    held_out, used = split(len(data), settings.seed)
    tokens = text_tokens(described.texts, digits_tokenizer())
    model = digits_clip()

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        chosen = used[torch.randint(0, len(used), (settings.batch_size,), generator=generator)]
        shift = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
        images = torch.roll(data[chosen], shift, dims=(2, 3))  # the margin is wide enough
        phrasing = torch.randint(0, tokens.shape[1], (len(chosen),), generator=generator)
        image = model.encode_image(images, normalize=True)
        text = model.encode_text(tokens[labels[chosen], phrasing], normalize=True)
        return contrastive_loss(image, text, labels[chosen], model.logit_scale.exp().clamp(max=100))

    result = fit(model, batch_loss, settings, "digits-clip")
    with torch.inference_mode():
        image = model.encode_image(data[held_out], normalize=True)
        text = model.encode_text(tokens[:, 0], normalize=True)
    found = (image @ text.T).argmax(1) == labels[held_out]
    figures = {"held_out_images": HELD_OUT, "held_out_accuracy": found.float().mean().item()}
    save_clip(model.half(), folder)
    return {"clip": dataclasses.replace(result, figures=figures)}
