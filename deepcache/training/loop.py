"""One optimisation loop for every model that is trained here."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from diffusers.training_utils import EMAModel

from deepcache.progress import progress


@dataclass(frozen=True)
class TrainingSettings:
    """What decides the outcome of a training run, together with the code."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 100
    weight_decay: float = 0.0
    ema_decay: float = 0.995
    precision: str = "float32"  # bfloat16: of the passes, faster on a CPU with matrix units for it
    seed: int = 0


@dataclass(frozen=True)
class TrainingResult:
    """Loss at every optimisation step, the wall-clock seconds it all took, and what was measured of the model after."""

    settings: TrainingSettings
    losses: list[float]
    seconds: float
    figures: dict = field(default_factory=dict)


def fit(
    model: torch.nn.Module, batch_loss: Callable[[torch.Generator], torch.Tensor], settings: TrainingSettings, name: str
) -> TrainingResult:
    """Minimise `batch_loss` with AdamW and a warm-up to cosine rate; leave the averaged (EMA) weights in the model.

    Args:
        model: trained in place.
        batch_loss: draws a batch with the generator it is given and returns the scalar loss.
        settings: see TrainingSettings.
        name: shown in the progress bar.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / max(1, settings.warmup_steps), 1.0, settings.warmup_steps)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, settings.steps - settings.warmup_steps))
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warmup, cosine], [settings.warmup_steps])
    average = EMAModel(model.parameters(), decay=settings.ema_decay)
    model.train()
    losses, start = [], time.perf_counter()
    bar = progress(range(settings.steps), f"train {name}", unit="step")
    for _ in bar:
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bfloat16"):
            loss = batch_loss(generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.step(model.parameters())
        losses.append(loss.item())
        bar.set_postfix(loss=f"{sum(losses[-50:]) / len(losses[-50:]):.4f}", refresh=False)
    average.copy_to(model.parameters())
    model.eval()
    return TrainingResult(settings, losses, time.perf_counter() - start)
