"""How each shipped model is trained: data, loss, settings, and what is saved.

A new one is one function, in a file of its own where it is long, and one entry in RECIPES.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F

from deepcache.data.digits import load_digits
from deepcache.models.classifier import INPUT_SIZE, DigitsClassifier
from deepcache.models.digits import IMAGE_SIZE, ddpm_scheduler, digits_ddpm_unet
from deepcache.training.contrastive import train_clip
from deepcache.training.described import DIGITS, EMOJI
from deepcache.training.diffusion import denoising_loss
from deepcache.training.emoji_clip import train_emoji_clip
from deepcache.training.held_out import split
from deepcache.training.ldm import train_ldm
from deepcache.training.loop import TrainingResult, TrainingSettings, fit
from deepcache.training.student import train_student
from deepcache.training.text_to_image import train_text_to_image


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        phases: settings of each phase, by its name.
        train: of (phases, folder); trains, saves the model to the folder and returns the result of each phase.
        dataset: on what, in words.
    """

    phases: dict[str, TrainingSettings]
    train: Callable[[dict[str, TrainingSettings], Path], dict[str, TrainingResult]]
    dataset: str = "scikit-learn digits, 1797 images"


def _train_ddpm(phases: dict[str, TrainingSettings], folder: Path) -> dict[str, TrainingResult]:
    from diffusers import DDPMPipeline

    settings = phases["unet"]
    images, _ = load_digits(IMAGE_SIZE)
    data = images.float() / 127.5 - 1
    unet, scheduler = digits_ddpm_unet(), ddpm_scheduler()

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randint(0, len(data), (settings.batch_size,), generator=generator)
        return denoising_loss(lambda x, t: unet(x, t).sample, data[chosen], scheduler, generator)

    result = fit(unet, batch_loss, settings, "digits-ddpm")
    DDPMPipeline(unet.half(), scheduler).save_pretrained(folder)
    return {"unet": result}


def _train_classifier(phases: dict[str, TrainingSettings], folder: Path) -> dict[str, TrainingResult]:
    settings = phases["classifier"]
    images, labels = load_digits(INPUT_SIZE)
    held_out, used = split(len(images), settings.seed)
    model = DigitsClassifier()

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        chosen = used[torch.randint(0, len(used), (settings.batch_size,), generator=generator)]
        shift = torch.randint(-1, 2, (2,), generator=generator).tolist()
        batch = torch.roll(images[chosen], shift, dims=(2, 3))  # the margin is wide enough for a shift by one pixel
        return F.cross_entropy(model(batch), labels[chosen])

    result = fit(model, batch_loss, settings, "digits-classifier")
    model.standardise(images)
    with torch.inference_mode():
        accuracy = (model(images[held_out]).argmax(1) == labels[held_out]).float().mean().item()
    model.half().save_pretrained(folder)
    return {"classifier": replace(result, figures={"held_out_images": len(held_out), "held_out_accuracy": accuracy})}


EMOJI_PICTURES = "resources/emoji, Noto, without the names held out"
RECIPES = {
    "digits-ddpm": Recipe(
        {"unet": TrainingSettings(steps=5000, batch_size=64, learning_rate=2e-3, ema_decay=0.998)}, _train_ddpm
    ),
    "digits-classifier": Recipe(
        {
            "classifier": TrainingSettings(
                steps=1500, batch_size=128, learning_rate=2e-3, weight_decay=1e-2, ema_decay=0.99
            )
        },
        _train_classifier,
    ),
    "digits-ldm": Recipe(
        {
            "first_stage": TrainingSettings(steps=800, batch_size=32, learning_rate=2e-3, ema_decay=0.99),
            "unet": TrainingSettings(steps=5000, batch_size=64, learning_rate=1e-3, ema_decay=0.998),
        },
        train_ldm,
    ),
    "digits-sd": Recipe(
        {
            "first_stage": TrainingSettings(steps=800, batch_size=32, learning_rate=2e-3, ema_decay=0.99),
            "unet": TrainingSettings(steps=4000, batch_size=32, learning_rate=1e-3, ema_decay=0.998),
        },
        partial(train_text_to_image, DIGITS),
    ),
    "digits-bk-sdm": Recipe(
        {"unet": TrainingSettings(steps=2000, batch_size=32, learning_rate=1e-3, ema_decay=0.995)},
        partial(train_student, DIGITS, "digits-bk-sdm"),
    ),
    "digits-clip": Recipe(
        {"clip": TrainingSettings(steps=1500, batch_size=128, learning_rate=1e-3, weight_decay=1e-2, ema_decay=0.99)},
        train_clip,
    ),
    "emoji-sd": Recipe(
        {
            "first_stage": TrainingSettings(
                steps=4000, batch_size=32, learning_rate=2e-3, ema_decay=0.995, precision="bfloat16"
            ),
            "unet": TrainingSettings(steps=10000, batch_size=64, learning_rate=1.5e-3, ema_decay=0.999),
        },
        partial(train_text_to_image, EMOJI),
        EMOJI_PICTURES,
    ),
    "emoji-bk-sdm": Recipe(
        {"unet": TrainingSettings(steps=1500, batch_size=32, learning_rate=1e-3, ema_decay=0.995)},
        partial(train_student, EMOJI, "emoji-bk-sdm"),
        EMOJI_PICTURES,
    ),
    "emoji-clip": Recipe(
        {"clip": TrainingSettings(steps=2000, batch_size=512, learning_rate=1e-3, weight_decay=1e-2, ema_decay=0.99)},
        train_emoji_clip,
        "resources/emoji, all pictures",
    ),
}
