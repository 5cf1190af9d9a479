"""Training of `emoji-clip`: pictures and prompts of the same emoji get similar embeddings (Radford et al. 2021)."""

import dataclasses
from pathlib import Path

import torch
from torchvision.transforms import v2

from deepcache.data.emoji import MODEL_STYLE, SIDE, load_emoji
from deepcache.models import efficientnet
from deepcache.models.efficientnet import EfficientNetLite0
from deepcache.models.emoji_clip import EmojiClip
from deepcache.models.minilm import MiniLM
from deepcache.package_weights import package_folder
from deepcache.progress import progress
from deepcache.training.contrastive import contrastive_loss
from deepcache.training.loop import TrainingResult, TrainingSettings, fit

BATCH = 64  # pictures that are seen at once
VIEWS = 4  # altered versions of each picture; every other picture of a batch is one, so that texture counts for less
# A pixel aside, blurred, more or less colourful, noisy: what a person hardly sees.
alter = v2.Compose(
    [
        v2.RandomCrop(SIDE, padding=1, padding_mode="edge"),
        v2.GaussianBlur(5, (0.1, 0.8)),
        v2.ColorJitter(contrast=0.1, saturation=0.1),
        v2.ToDtype(torch.float32, scale=True),
        v2.GaussianNoise(sigma=10 / 255),
        v2.ToDtype(torch.uint8, scale=True),
    ]
)


def train_emoji_clip(phases: dict[str, TrainingSettings], folder: Path) -> dict[str, TrainingResult]:
    """Train the two maps on all emoji, also those held out from the models it judges, and save them."""
    settings, emoji = phases["clip"], load_emoji()
    network = EfficientNetLite0(package_folder(efficientnet.PACKAGE))
    images = torch.from_numpy(emoji.images).permute(0, 3, 1, 2)
    with torch.random.fork_rng([]):
        torch.manual_seed(settings.seed)
        altered = [torch.stack([alter(image) for image in images]) for _ in range(VIEWS)]
    batches = progress(torch.cat([images, *altered]).split(BATCH), "emoji-clip, features", unit="batch")
    with torch.no_grad():
        views = torch.cat([network.features(batch) for batch in batches]).unflatten(0, (1 + VIEWS, len(images)))
    features = views[0]
    sentences, model = MiniLM().embed(emoji.prompts), EmojiClip(emoji.prompts)
    model.mean.copy_(features.mean(0))
    model.spread.copy_(features.std(0).clamp(min=1e-6))  # some are 0 on few pictures

    def batch_loss(generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randperm(len(images), generator=generator)[: settings.batch_size]
        view = torch.randint(1, 1 + VIEWS, chosen.shape, generator=generator)
        view *= torch.randint(2, chosen.shape, generator=generator)
        image, text = model.embed_features(views[view, chosen]), model.embed_sentences(sentences[chosen])
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
