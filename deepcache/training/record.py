"""The record of a training run: a JSON file and its loss curves as a picture."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from deepcache.files import sha256, write_json
from deepcache.provenance import provenance
from deepcache.training.loop import TrainingResult

SMOOTHING = 50  # steps in the running mean that is drawn and recorded


def write_record(folder: Path, name: str, dataset: str, phases: Mapping[str, TrainingResult], device: str) -> None:
    """Write `training.json` and `loss.png` beside the weights in the folder.

    Args:
        folder: where the model was saved.
        name: of the model.
        dataset: on what it was trained, in words.
        phases: results by the phase's name; where there is one, it has no name in the record.
        device: on which it was trained.
    """
    entries = {phase: _entry(result) for phase, result in phases.items()}
    weights = sorted(folder.rglob("*.safetensors"))
    write_json(
        folder / "training.json",
        {
            "model": name,
            "dataset": dataset,
            **({"phases": entries} if len(entries) > 1 else next(iter(entries.values()))),
            "sha256": {str(path.relative_to(folder)): sha256(path) for path in weights},
            **provenance(device),
        },
    )
    _draw_losses(folder / "loss.png", name, {phase: np.asarray(result.losses) for phase, result in phases.items()})


def _entry(result: TrainingResult) -> dict:
    return {
        "settings": asdict(result.settings),
        "seconds": round(result.seconds, 1),
        "final_loss": float(np.mean(result.losses[-SMOOTHING:])),
        **result.figures,
    }


def _draw_losses(path: Path, name: str, losses: dict[str, np.ndarray]) -> None:
    """Draw the curves of all phases side by side."""
    from deepcache.figures.style import plt, save  # matplotlib takes a second

    figure, row = plt.subplots(1, len(losses), figsize=(5 * len(losses), 3), layout="constrained", squeeze=False)
    for axes, (phase, curve) in zip(row[0], losses.items(), strict=True):
        window = min(SMOOTHING, len(curve))
        smooth = np.convolve(curve, np.ones(window) / window, mode="valid")
        axes.plot(curve, color="0.8", linewidth=0.5, label="each step")
        axes.plot(np.arange(window - 1, len(curve)), smooth, color="C0", label=f"mean of {window} steps")
        part = f", {phase.replace('_', ' ')}" if len(losses) > 1 else ""
        axes.set(xlabel="optimisation step", ylabel="loss", yscale="log", title=f"Training of {name}{part}")
        axes.legend()
    save(figure, path)
