"""Training of text-to-image models: first stage, then text encoder and U-Net together (Rombach et al. 2022)."""

from pathlib import Path

import torch

from deepcache.training.autoencoder import encode_all, train_autoencoder
from deepcache.training.described import PROMPT_DROPOUT, TextToImage
from deepcache.training.diffusion import denoising_loss
from deepcache.training.loop import TrainingResult, TrainingSettings, fit


def text_tokens(texts: list[list[str]], tokenizer) -> torch.Tensor:
    """Token ids of all that is said of each label, int64, shape (labels, phrasings, context)."""
    return torch.stack([_tokens(phrasings, tokenizer) for phrasings in texts])


def _tokens(texts: list[str], tokenizer) -> torch.Tensor:
    return tokenizer(texts, padding="max_length", return_tensors="pt").input_ids


class Captioned:
    """Latents with what is said of their pictures.

    Args:
        mean, std: of the latents' distributions, each of shape (N, C, h, w).
        labels: int64, shape (N,).
        texts: everything that is said of each label, as many phrasings of each.
        tokenizer: of the texts.
    """

    def __init__(self, mean: torch.Tensor, std: torch.Tensor, labels: torch.Tensor, texts: list[list[str]], tokenizer):
        self._mean, self._std, self._labels = mean, std, labels
        self._texts, self._nothing = text_tokens(texts, tokenizer), _tokens([""], tokenizer)

    def draw(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents, shape (count, C, h, w), and token ids of a text for each, shape (count, tokens).

        Some texts are empty, so that the model learns to do without: that is what guidance compares with.
        """
        chosen = torch.randint(0, len(self._mean), (count,), generator=generator)
        noise = torch.randn(self._mean[chosen].shape, generator=generator)
        phrasing = torch.randint(0, self._texts.shape[1], (count,), generator=generator)
        ids = self._texts[self._labels[chosen], phrasing]
        dropped = torch.rand(count, generator=generator) < PROMPT_DROPOUT
        return self._mean[chosen] + self._std[chosen] * noise, torch.where(dropped[:, None], self._nothing, ids)


def train_text_to_image(
    model: TextToImage, phases: dict[str, TrainingSettings], folder: Path
) -> dict[str, TrainingResult]:
    """Train in two phases, `first_stage` and `unet`, and save the pipeline."""
    described, pipeline, settings = model.described(), model.pipeline(), phases["unet"]
    vae, text_encoder, unet = pipeline.vae, pipeline.text_encoder, pipeline.unet
    data, held_out = described.for_first_stage(phases["first_stage"].seed)
    first_stage = train_autoencoder(vae, data, held_out, phases["first_stage"], f"{model.name}, first stage")
    latents = encode_all(vae, described.images)
    captioned = Captioned(*latents, described.labels, described.texts, pipeline.tokenizer)

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        latents, ids = captioned.draw(settings.batch_size, generator)
        context = text_encoder(ids).last_hidden_state
        return denoising_loss(
            lambda x, t: unet(x, t, encoder_hidden_states=context).sample, latents, pipeline.scheduler, generator
        )

    denoiser = fit(torch.nn.ModuleList([unet, text_encoder]), batch_loss, settings, f"{model.name}, U-Net")
    for part in (vae, text_encoder, unet):
        part.half()
    pipeline.save_pretrained(folder)
    return {"first_stage": first_stage, "unet": denoiser}
