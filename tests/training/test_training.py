"""Every recipe, shortened: it learns, it is repeatable, and it leaves a checkpoint with its record."""

import argparse
import json
import runpy
from pathlib import Path

import pytest
import torch

from deepcache.data.digits import load_digits
from deepcache.models.digits import LDM_IMAGE_SIZE, digits_ldm_vqvae
from deepcache.models.ldm_pipeline import LDMClassPipeline
from deepcache.training import first_stage, ldm
from deepcache.training.diffusion import noise_prediction_loss
from deepcache.training.first_stage import CodebookLoss
from deepcache.training.loop import TrainingSettings, fit

ROOT = Path(__file__).resolve().parents[2]


def train(model: str, output: Path, steps: int) -> dict:
    script = runpy.run_path(str(ROOT / "workflow/scripts/train.py"))
    script["main"](argparse.Namespace(model=model, output=output, steps=steps, seed=0, threads=1))
    return json.loads((output / "training.json").read_text())


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


def test_noise_prediction_loss_is_zero_for_a_perfect_model_and_one_for_none():
    from deepcache.models.digits import ddpm_scheduler

    clean, scheduler = torch.zeros(64, 1, 8, 8), ddpm_scheduler()

    def perfect(noisy, timesteps):
        return noisy / (1 - scheduler.alphas_cumprod[timesteps]).sqrt().view(-1, 1, 1, 1)

    assert noise_prediction_loss(perfect, clean, scheduler, torch.Generator().manual_seed(0)) < 1e-10
    nothing = noise_prediction_loss(lambda x, t: 0 * x, clean, scheduler, torch.Generator().manual_seed(0))
    assert nothing.item() == pytest.approx(1, abs=0.1)
