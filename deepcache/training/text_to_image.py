"""Training of `digits-sd`: its first stage, then text encoder and U-Net together (Rombach et al. 2022)."""

from pathlib import Path

import torch

from deepcache.data.digit_prompts import captions
from deepcache.data.digits import load_digits
from deepcache.models.digits_sd import (
    IMAGE_SIZE,
    digits_sd_text_encoder,
    digits_sd_unet,
    digits_sd_vae,
    digits_tokenizer,
)
from deepcache.models.paper_pipelines import assemble_stable_diffusion
from deepcache.training.autoencoder import encode_all, train_autoencoder
from deepcache.training.diffusion import noise_prediction_loss
from deepcache.training.loop import TrainingResult, TrainingSettings, fit

PROMPT_DROPOUT = 0.1  # share of images that are trained without their prompt, for guidance


def caption_tokens(tokenizer) -> torch.Tensor:
    """Token ids of every caption of each digit, int64, shape (digits, phrasings, context)."""
    return torch.stack([_tokens(phrasings, tokenizer) for phrasings in captions()])


def _tokens(texts: list[str], tokenizer) -> torch.Tensor:
    return tokenizer(texts, padding="max_length", return_tensors="pt").input_ids


class Captioned:
    """Latents of digits with what is said of them.

    Args:
        mean, std: of the latents' distributions, each of shape (N, C, h, w).
        labels: int64, shape (N,).
        tokenizer: of the captions.
    """

    def __init__(self, mean: torch.Tensor, std: torch.Tensor, labels: torch.Tensor, tokenizer):
        self._mean, self._std, self._labels = mean, std, labels
        self._captions, self._nothing = caption_tokens(tokenizer), _tokens([""], tokenizer)

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents, shape (count, C, h, w), and token ids of a caption of each, shape (count, tokens).

        Some captions are empty, so that the model learns to do without: that is what guidance compares with.
        """
        chosen = torch.randint(0, len(self._mean), (count,), generator=generator)
        noise = torch.randn(self._mean[chosen].shape, generator=generator)
        phrasing = torch.randint(0, self._captions.shape[1], (count,), generator=generator)
        ids = self._captions[self._labels[chosen], phrasing]
        dropped = torch.rand(count, generator=generator) < PROMPT_DROPOUT
        return self._mean[chosen] + self._std[chosen] * noise, torch.where(dropped[:, None], self._nothing, ids)


def rgb_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Digits as Stable Diffusion takes them, float32, shape (N, 3, 32, 32), scaled to [-1, 1], and their labels."""
    images, labels = load_digits(IMAGE_SIZE)
    return (images.float() / 127.5 - 1).repeat(1, 3, 1, 1), labels


def train_text_to_image(phases: dict[str, TrainingSettings], folder: Path) -> dict[str, TrainingResult]:
    """Train in two phases, `first_stage` and `unet`, and save the pipeline."""
    data, labels = rgb_digits()
    vae, text_encoder, unet = digits_sd_vae(), digits_sd_text_encoder(), digits_sd_unet()
    tokenizer = digits_tokenizer()
    pipeline = assemble_stable_diffusion(vae, text_encoder, tokenizer, unet)
    first_stage = train_autoencoder(vae, data, phases["first_stage"], "digits-sd, first stage")
    captioned, settings = Captioned(*encode_all(vae, data), labels, tokenizer), phases["unet"]

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        latents, ids = captioned.draw(settings.batch_size, generator)
        context = text_encoder(ids).last_hidden_state
        return noise_prediction_loss(
            lambda x, t: unet(x, t, encoder_hidden_states=context).sample, latents, pipeline.scheduler, generator
        )

    denoiser = fit(torch.nn.ModuleList([unet, text_encoder]), batch_loss, settings, "digits-sd, U-Net")
    for part in (vae, text_encoder, unet):
        part.half()
    pipeline.save_pretrained(folder)
    return {"first_stage": first_stage, "unet": denoiser}
