"""Tuning a checkpoint, with progress, into a plan that is kept."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from deepcache.beyond.tuning.budget import Budget
from deepcache.beyond.tuning.opened import Opened, open_tuned
from deepcache.beyond.tuning.tune import Tuned, tune_model
from deepcache.beyond.tuning.tuner import Effort, Tried
from deepcache.caching.plan import Plan, open_plan
from deepcache.progress import progress
from deepcache.provenance import device_name
from deepcache.quality.partial import Partial


@dataclass(frozen=True)
class Asked:
    """What is tuned, and for what.

    Attributes:
        checkpoint: a folder in diffusers' format, or a checkpoint's manifest.
        budget: what may be spent.
        prompts: see `open_tuned`, as `steps`, `guidance_scale`, `call` and `variant`.
        steps: how many it usually takes.
        guidance_scale: with which.
        batch_size: see `tune_model`, as `execution` and `effort`.
        execution: how passes run.
        call: more arguments of the pipeline's call.
        effort: how much is looked at.
    """

    checkpoint: Path
    budget: Budget
    prompts: Path | None = None
    steps: int = 50
    guidance_scale: float | None = None
    batch_size: int = 1
    execution: str = "auto"
    call: Mapping[str, Any] = field(default_factory=dict)
    effort: Effort = field(default_factory=lambda: Effort())
    variant: str | None = None

    def decides(self, opened: Opened, precision: str, device: torch.device) -> dict[str, Any]:
        """Everything that decides the plan, as plain values."""
        return {
            "sha256": opened.sha256,
            "prompts": opened.prompts,
            "usual": opened.usual.slug,
            "budget": self.budget.words,
            "batch_size": self.batch_size,
            "precision": precision,
            "execution": self.execution,
            "call": dict(self.call),
            "device": device_name(device),
            "threads": torch.get_num_threads(),
            "seed": self.effort.seed,
        }


@dataclass(frozen=True)
class Made:
    """A plan, and how it was found: None where it was there already."""

    plan: Plan
    tuned: Tuned | None


def tune_checkpoint(
    asked: Asked, device: torch.device, precision: str, output: Path | Callable[[dict[str, Any]], Path]
) -> Made:
    """Tune a checkpoint and write the plan.

    Args:
        asked: what, and for what.
        device: where it runs.
        precision: of weights and activations.
        output: the plan's file; or a function of what decides the plan that names it: a plan that lies there is taken.
            Beside it `<name>.partial.npz` keeps what an unfinished search found out.

    Raises:
        DeepCacheError: as from `open_tuned` and `tune_model`.
    """
    named = asked.prompts, asked.steps, asked.guidance_scale, asked.call, asked.variant
    opened = open_tuned(asked.checkpoint, device, precision, *named)
    key = asked.decides(opened, precision, device)
    path = output if isinstance(output, Path) else output(key)
    if not isinstance(output, Path) and path.exists():
        return Made(open_plan(path), None)
    partial = Partial.beside(path, key)
    with progress(None, f"tuning {opened.name}: {asked.budget.words}", unit="way") as bar:
        best = float("-inf")

        def on_tried(tried: Tried) -> None:
            nonlocal best
            best = max(best, tried.judged.mean)
            bar.set_postfix_str(f"best {best:.1f} dB", refresh=False)
            bar.update()

        how = {"batch_size": asked.batch_size, "execution": asked.execution, "effort": asked.effort}
        how |= {"partial": partial, "on_tried": on_tried, "on_stage": bar.set_description_str}
        tuned = tune_model(opened.model, opened.usual, asked.budget, device, **how)
    plan = tuned.plan(opened.model, opened.name, precision, opened.sha256, asked.execution)
    plan.save(path)
    partial.discard()
    return Made(plan, tuned)
