"""Every recipe, shortened: it learns, it is repeatable, and it leaves a checkpoint with its record."""

import argparse
import json
import runpy
from pathlib import Path

import pytest
import torch

from deepcache.training.diffusion import noise_prediction_loss
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
