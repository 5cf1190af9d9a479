"""digits-sd, its student and digits-clip: their architectures, and what the shipped ones can do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from deepcache.caching.branches import num_branches
from deepcache.data.digit_prompts import DIGITS, captions
from deepcache.models import paper
from deepcache.models.classifier import DigitsClassifier
from deepcache.models.clip_vocabulary import clip_tokenizer
from deepcache.models.digits_sd import CONTEXT, VOCABULARY_SIZE, digits_sd_unet, digits_tokenizer
from deepcache.quality.clip_score import load_clip
from deepcache.training.autoencoder import encode_all
from deepcache.training.described import described_digits
from deepcache.training.held_out import HELD_OUT, split

CHECKPOINTS = Path(__file__).resolve().parents[2] / "resources/checkpoints"


def load(name: str) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline.from_pretrained(CHECKPOINTS / name, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_unets_are_stable_diffusion_and_bk_sdm_base_in_miniature():
    for ours, theirs in ((digits_sd_unet(), paper.sd_v1_5()), (digits_sd_unet(1), paper.bk_sdm_base())):
        for setting in ("layers_per_block", "down_block_types", "up_block_types", "in_channels", "mid_block_type"):
            assert ours.config[setting] == theirs.config[setting], setting
        assert num_branches(ours) == num_branches(theirs)


def test_tokenizer_is_clips_with_fewer_merges():
    ours, theirs = digits_tokenizer(), clip_tokenizer()
    assert len(ours) == VOCABULARY_SIZE < len(theirs)
    for text in ("a seven", "Grüße, 42!"):
        assert ours.decode(ours(text).input_ids) == theirs.decode(theirs(text).input_ids)
    assert max(len(ours(text).input_ids) for row in captions() for text in row) <= CONTEXT
    assert ours("").input_ids == [VOCABULARY_SIZE - 2, VOCABULARY_SIZE - 1]


def test_shipped_first_stage_reconstructs_digits():
    data, vae = described_digits().images[::5], load("digits-sd").vae
    with torch.inference_mode():
        mean, std = encode_all(vae, data)
        error = (vae.decode(mean / vae.config.scaling_factor).sample.clamp(-1, 1) - data).square().mean()
    assert 10 * torch.log10(4 / error) > 28
    assert (mean.var() + std.square().mean()).item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("name", ["digits-sd", "digits-bk-sdm"])
def test_shipped_model_makes_the_digits_that_are_asked_for(name):
    pipe, classifier = load(name), DigitsClassifier.from_pretrained(CHECKPOINTS / "digits-classifier")
    prompts = [row[phrasing] for row in captions() for phrasing in (0, 7)]
    generator = torch.Generator().manual_seed(0)
    images = pipe(prompts, num_inference_steps=20, generator=generator, output_type="np").images
    assert images.shape == (20, 32, 32, 3)
    read = classifier(torch.from_numpy(images * 255).round().to(torch.uint8).permute(0, 3, 1, 2)).argmax(1)
    assert (read == torch.arange(10).repeat_interleave(2)).sum() >= 18


def test_shipped_clip_scores_a_wrong_prompt_lower_on_images_it_has_not_seen():
    data, labels = described_digits().images, described_digits().labels
    held_out, _ = split(len(data), seed=0)
    images = ((data[held_out] + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    clip = load_clip(CHECKPOINTS / "digits-clip", "cpu")
    scores = np.stack([clip.scores(images, [f"a handwritten {word}"] * HELD_OUT) for word in DIGITS], axis=1)
    truth = labels[held_out].numpy()[:, None]
    right = np.take_along_axis(scores, truth, axis=1)
    wrong = np.where(np.arange(10) == truth, -1, scores).max(axis=1, keepdims=True)
    assert (right > wrong).mean() >= 0.98, "than the best of the nine wrong ones"


@pytest.mark.parametrize(("suite", "most"), [("digits", 17e6), ("emoji", 20e6)])
def test_shipped_checkpoints_are_small(suite, most):
    files = [path for path in CHECKPOINTS.glob(f"{suite}-*/**/*") if path.is_file()]
    assert 1e6 < sum(path.stat().st_size for path in files) < most
