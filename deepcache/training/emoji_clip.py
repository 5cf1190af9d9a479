"""Training of `emoji-clip`: pictures and prompts of the same emoji get similar embeddings (Radford et al. 2021)."""

import dataclasses
from pathlib import Path

import torch

from deepcache.data.emoji import MODEL_STYLE, load_emoji
from deepcache.models import efficientnet
from deepcache.models.efficientnet import EfficientNetLite0
from deepcache.models.emoji_clip import EmojiClip
from deepcache.models.minilm import MiniLM
from deepcache.package_weights import package_folder
from deepcache.progress import progress
from deepcache.training.contrastive import contrastive_loss
from deepcache.training.loop import TrainingResult, TrainingSettings, fit

BATCH = 64  # pictures that are seen at once
JITTER = 0.1  # standard deviations of noise on the features, so that neighbours of a picture count as it


def train_emoji_clip(phases: dict[str, TrainingSettings], folder: Path) -> dict[str, TrainingResult]:
    """Train the two maps on all emoji, also those held out from the models it judges, and save them."""
    settings, emoji = phases["clip"], load_emoji()
    network = EfficientNetLite0(package_folder(efficientnet.PACKAGE))
    images = torch.from_numpy(emoji.images).permute(0, 3, 1, 2)
    with torch.no_grad():
        batches = progress(images.split(BATCH), "emoji-clip, features", unit="batch")
        features = torch.cat([network.features(batch) for batch in batches])
    sentences, model = MiniLM().embed(emoji.prompts), EmojiClip(emoji.prompts)
    model.mean.copy_(features.mean(0))
    model.spread.copy_(features.std(0).clamp(min=1e-6))  # some are 0 on few pictures

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randperm(len(images), generator=generator)[: settings.batch_size]
        noise = torch.randn(features[chosen].shape, generator=generator)
        seen = features[chosen] + JITTER * model.spread * noise
        image, text = model.embed_features(seen), model.embed_sentences(sentences[chosen])
        return contrastive_loss(image, text, chosen, model.logit_scale.exp().clamp(max=100))

    result = fit(model, batch_loss, settings, "emoji-clip")
    with torch.no_grad():
        model.read.copy_(model.embed_sentences(sentences))
        ours = torch.from_numpy(emoji.styles == MODEL_STYLE)
        cosines = model.embed_features(features[ours]) @ model.read[ours].T
    right = cosines.argmax(1) == torch.arange(len(cosines))
    figures = {
        "real_pictures": len(cosines),
        "right_prompt_first": right.float().mean().item(),
        "score_right_prompt": 100 * cosines.diag().clamp(min=0).mean().item(),
        "score_other_prompts": 100 * cosines[~torch.eye(len(cosines), dtype=bool)].clamp(min=0).mean().item(),
    }
    model.half().save_pretrained(folder)
    return {"clip": dataclasses.replace(result, figures=figures)}
