"""Every recipe, shortened: it learns, it is repeatable, and it leaves a checkpoint with its record."""

import argparse
import copy
import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from deepcache import DeepCacheError
from deepcache.data.digit_prompts import DIGITS, captions
from deepcache.data.digits import load_digits
from deepcache.data.emoji import Emoji, held_out_names, load_emoji, seen_and_unseen
from deepcache.models.digits import LDM_IMAGE_SIZE, digits_ldm_vqvae
from deepcache.models.digits_sd import digits_sd_unet, digits_tokenizer
from deepcache.models.emoji_sd import emoji_sd_pipeline
from deepcache.models.ldm_pipeline import LDMClassPipeline
from deepcache.quality.clip_score import load_clip
from deepcache.training import described, emoji_clip, first_stage, ldm, student
from deepcache.training.autoencoder import encode_all
from deepcache.training.contrastive import contrastive_loss
from deepcache.training.described import PROMPT_DROPOUT, described_digits, described_emoji
from deepcache.training.diffusion import denoising_loss
from deepcache.training.first_stage import CodebookLoss
from deepcache.training.loop import TrainingSettings, fit
from deepcache.training.student import Features, distillation_loss, initialise_from
from deepcache.training.text_to_image import Captioned

ROOT = Path(__file__).resolve().parents[2]
UNET = "unet/diffusion_pytorch_model.safetensors"


def train(model: str, output: Path, steps: int) -> dict:
    script = runpy.run_path(str(ROOT / "workflow/scripts/train.py"))
    script["main"](argparse.Namespace(model=model, output=output, steps=steps, seed=0, threads=1))
    return json.loads((output / "training.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("model", ["digits-classifier", "digits-ddpm"])
def test_recipe_leaves_a_checkpoint_and_its_record(model, tmp_path):
    records = [train(model, tmp_path / name, 2) for name in ("first", "second")]
    assert records[0]["sha256"] == records[1]["sha256"], "the same seed gives the same weights"
    assert records[0]["settings"]["steps"] == 2
    assert (tmp_path / "first" / "loss.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_digits_ldm_trains_in_two_phases_and_samples(tmp_path, monkeypatch):
    some = [values[:400] for values in load_digits(LDM_IMAGE_SIZE)]  # all of them take a while to encode
    monkeypatch.setattr(ldm, "load_digits", lambda image_size: some)
    records = [train("digits-ldm", tmp_path / name, 2) for name in ("first", "second")]
    assert records[0]["sha256"] == records[1]["sha256"], "the same seed gives the same weights"
    assert {name: phase["settings"]["steps"] for name, phase in records[0]["phases"].items()} == {
        "first_stage": 2,
        "unet": 2,
    }
    measured = records[0]["phases"]["first_stage"]
    assert 0 < measured["held_out_psnr_db"] < 15, "after two steps"
    assert 1 <= measured["codebook_entries_used"] <= measured["codebook_entries"] == 256
    pipe = LDMClassPipeline.from_pretrained(tmp_path / "first")
    pipe.set_progress_bar_config(disable=True)
    assert pipe.vqvae.config.scaling_factor != 1
    assert pipe([3, 7], num_inference_steps=2, output_type="np").images.shape == (2, 32, 32, 1)


@pytest.fixture
def some_rgb(monkeypatch):
    some = [values[:400] for values in load_digits(32)]
    monkeypatch.setattr(described, "load_digits", lambda image_size: some)
    return described_digits().images


def test_digits_sd_and_its_student_train(some_rgb, tmp_path, monkeypatch):
    records = [train("digits-sd", tmp_path / name, 2) for name in ("digits-sd", "second")]
    assert records[0]["sha256"] == records[1]["sha256"], "the same seed gives the same weights"
    assert records[0]["phases"]["unet"]["settings"]["steps"] == 2
    assert 0 < records[0]["phases"]["first_stage"]["held_out_psnr_db"] < 15, "after two steps"
    monkeypatch.setattr(student, "CHECKPOINTS", tmp_path)
    record = train("digits-bk-sdm", tmp_path / "student", 2)
    for part in ("vae", "text_encoder"):
        (weights,) = (name for name in record["sha256"] if name.startswith(part))
        assert record["sha256"][weights] == records[0]["sha256"][weights], "these stay as they are"
    for name, blocks in (("digits-sd", 2), ("student", 1)):
        pipe = StableDiffusionPipeline.from_pretrained(tmp_path / name, dtype=torch.float32)
        pipe.set_progress_bar_config(disable=True)
        assert pipe.vae.config.scaling_factor != 1
        assert pipe.unet.config.layers_per_block == blocks
        assert pipe(["a seven", ""], num_inference_steps=2, output_type="np").images.shape == (2, 32, 32, 3)


def test_latents_are_scaled_to_unit_variance(some_rgb, tmp_path):
    train("digits-sd", tmp_path / "model", 2)
    vae = StableDiffusionPipeline.from_pretrained(tmp_path / "model", dtype=torch.float32).vae
    mean, std = encode_all(vae, some_rgb)
    assert (mean.var() + std.square().mean()).item() == pytest.approx(1, abs=0.05), "fp16 weights, other images"


def test_captions_are_those_of_the_digit_and_some_are_empty():
    tokenizer = digits_tokenizer()
    labels = torch.arange(10)
    mean = labels.float().view(10, 1, 1, 1).expand(10, 4, 2, 2)
    captioned = Captioned(mean, torch.zeros_like(mean), labels, captions(), tokenizer)
    latents, ids = captioned.draw(2000, torch.Generator().manual_seed(0))
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    empty = 0
    for label, text in zip(latents[:, 0, 0, 0].int().tolist(), texts, strict=True):
        empty += not text
        assert not text or DIGITS[label] in text.split(), (label, text)
    assert empty / 2000 == pytest.approx(PROMPT_DROPOUT, abs=0.02)
    assert len(set(texts)) == 101


def test_a_student_begins_with_the_layers_that_it_keeps():
    torch.manual_seed(0)
    teacher, learner = digits_sd_unet(), digits_sd_unet(layers_per_block=1)
    initialise_from(learner, teacher)
    pairs = [
        ("down_blocks.1.resnets.0", "down_blocks.1.resnets.0"),
        ("up_blocks.2.attentions.1", "up_blocks.2.attentions.2"),
    ]
    for ours, theirs in pairs:
        for one, other in zip(
            learner.get_submodule(ours).parameters(), teacher.get_submodule(theirs).parameters(), strict=True
        ):
            assert torch.equal(one, other)
    with pytest.raises(DeepCacheError, match="layers are not among the teacher's"):
        initialise_from(digits_sd_unet(layers_per_block=3), digits_sd_unet(layers_per_block=1))


def test_nothing_is_left_to_distil_from_a_model_to_itself():
    torch.manual_seed(0)
    unet = digits_sd_unet().eval()
    other = copy.deepcopy(unet)
    arguments = torch.randn(1, 4, 8, 8), torch.tensor([500]), torch.randn(1, 16, 64)
    loss, noise = distillation_loss(unet, other, Features(unet), Features(other), *arguments)
    assert loss.item() == 0
    assert torch.equal(noise, other(*arguments[:2], encoder_hidden_states=arguments[2]).sample)


def test_digits_clip_trains(some_rgb, tmp_path):
    records = [train("digits-clip", tmp_path / name, 2) for name in ("first", "second")]
    assert records[0]["sha256"] == records[1]["sha256"], "the same seed gives the same weights"
    assert 0 <= records[0]["held_out_accuracy"] <= 1


def test_contrastive_loss_takes_every_caption_of_the_digit_for_right():
    embeddings = torch.nn.functional.one_hot(torch.tensor([0, 1, 1, 2])).float()
    labels = torch.tensor([4, 7, 7, 9])
    matched = contrastive_loss(embeddings, embeddings, labels, torch.tensor(100.0))
    assert matched.item() == pytest.approx(2 * 0.6931472 / 4, rel=1e-5), "two of four have two right answers"
    turned = contrastive_loss(embeddings, embeddings.roll(1, 0), labels, torch.tensor(100.0))
    assert turned > 10


def test_unused_entries_of_the_codebook_are_revived(monkeypatch):
    """A codebook far from all latents but for one entry: that entry alone is used, until the others are moved."""
    monkeypatch.setattr(first_stage, "REVIVE_EVERY", 2)
    torch.manual_seed(0)
    vqvae = digits_ldm_vqvae()
    vqvae.quantize.embedding.weight.data[1:] = 1e3
    images, generator = 2 * torch.rand(4, 1, 32, 32) - 1, torch.Generator().manual_seed(0)

    def entries_used(revive_steps: int) -> int:
        loss = CodebookLoss(vqvae, revive_steps)
        with torch.no_grad():
            for _ in range(2):
                loss(images, generator)
            return len(vqvae.quantize(vqvae.encode(images).latents)[2][2].unique())

    assert entries_used(revive_steps=1) == 1
    assert entries_used(revive_steps=2) > 100


def test_fit_learns_and_keeps_the_average():
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)

    def loss(generator):
        x = torch.randn(16, 1, generator=generator)
        return ((model(x) - (3 * x + 1)) ** 2).mean()

    result = fit(model, loss, TrainingSettings(400, 16, 0.05, warmup_steps=10, ema_decay=0.9), "line")
    assert len(result.losses) == 400
    assert result.losses[-1] < 1e-3 < result.losses[0]
    assert model.weight.item() == pytest.approx(3, abs=0.05)
    assert not model.training


def test_loss_is_zero_for_a_perfect_model_and_one_for_none():
    from deepcache.models.digits import ddpm_scheduler

    clean, scheduler = torch.zeros(64, 1, 8, 8), ddpm_scheduler()

    def perfect(noisy, timesteps):
        return noisy / (1 - scheduler.alphas_cumprod[timesteps]).sqrt().view(-1, 1, 1, 1)

    assert denoising_loss(perfect, clean, scheduler, torch.Generator().manual_seed(0)) < 1e-10
    nothing = denoising_loss(lambda x, t: 0 * x, clean, scheduler, torch.Generator().manual_seed(0))
    assert nothing.item() == pytest.approx(1, abs=0.1)


def test_velocity_is_what_takes_noisy_data_to_clean_data():
    scheduler = emoji_sd_pipeline().scheduler
    clean = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def perfect(noisy, timesteps):
        signal = scheduler.alphas_cumprod[timesteps].view(-1, 1, 1, 1)
        return (signal.sqrt() * noisy - clean) / (1 - signal).sqrt()  # of their definition v = a * noise - s * clean

    assert denoising_loss(perfect, clean, scheduler, torch.Generator().manual_seed(0)) < 1e-8


def test_emoji_are_described_by_their_prompts_and_held_out_names_are_not_seen():
    emoji, held_out = load_emoji(), set(held_out_names())
    found = described_emoji()
    texts = [phrasings[0] for phrasings in found.texts]
    assert len(found.images) == len(texts) and len(found.unseen) > 200
    assert all(text.startswith("a noto emoji of ") for text in texts)
    assert not any(text.partition(" of ")[2] in held_out for text in texts)
    number = emoji.prompts.index(texts[5])
    pixels = torch.from_numpy(emoji.images[number]).permute(2, 0, 1)
    assert torch.equal(((found.images[5] + 1) * 127.5).round().byte(), pixels)


def test_emoji_sd_trains(tmp_path, monkeypatch):
    some = [Emoji(one.images[::20], one.names[::20], one.styles[::20]) for one in seen_and_unseen()]
    monkeypatch.setattr(described, "seen_and_unseen", lambda: some)
    record = train("emoji-sd", tmp_path / "emoji-sd", 2)
    assert record["dataset"].startswith("resources/emoji")
    assert 0 < record["phases"]["first_stage"]["held_out_psnr_db"] < 15, "after two steps"
    pipe = StableDiffusionPipeline.from_pretrained(tmp_path / "emoji-sd", dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    assert pipe.scheduler.config.prediction_type == "v_prediction"
    images = pipe(["a noto emoji of owl", ""], num_inference_steps=2, output_type="np").images
    assert images.shape == (2, 32, 32, 3)
    monkeypatch.setattr(student, "CHECKPOINTS", tmp_path)
    learnt = train("emoji-bk-sdm", tmp_path / "student", 2)["sha256"]
    assert {name for name in learnt if learnt[name] != record["sha256"][name]} == {UNET}, "the others stay as they are"
    learned = StableDiffusionPipeline.from_pretrained(tmp_path / "student", dtype=torch.float32)
    assert learned.unet.config.layers_per_block == 1 and learned.vae.config.scaling_factor != 1
    assert learned.scheduler.config.prediction_type == "v_prediction"


def test_emoji_clip_trains(tmp_path, monkeypatch):
    emoji = load_emoji()
    monkeypatch.setattr(emoji_clip, "load_emoji", lambda: emoji.where(np.arange(len(emoji)) % 60 == 0))
    records = [train("emoji-clip", tmp_path / name, 100) for name in ("first", "second")]
    assert records[0]["sha256"] == records[1]["sha256"], "the same seed gives the same weights"
    assert records[0]["score_right_prompt"] > 20 > records[0]["score_other_prompts"] > 0
    assert load_clip(tmp_path / "first", torch.device("cpu")).read(["a noto emoji of owl"]).shape == (1, 128)
