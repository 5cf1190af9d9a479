"""The record of a training run: a JSON file and its loss curve as a picture."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from deepcache.results.files import sha256, write_json
from deepcache.results.provenance import provenance
from deepcache.training.loop import TrainingResult, TrainingSettings

SMOOTHING = 50  # steps in the running mean that is drawn and recorded


def write_record(
    folder: Path, name: str, settings: TrainingSettings, result: TrainingResult, figures: dict, device: str
) -> None:
    """Write `training.json` and `loss.png` beside the weights in the folder."""
    losses = np.asarray(result.losses)
    weights = sorted(folder.rglob("*.safetensors"))
    write_json(
        folder / "training.json",
        {
            "model": name,
            "dataset": "scikit-learn digits, 1797 images",
            "settings": asdict(settings),
            "seconds": round(result.seconds, 1),
            "final_loss": float(losses[-SMOOTHING:].mean()),
            **figures,
            "sha256": {str(path.relative_to(folder)): sha256(path) for path in weights},
            **provenance(device),
        },
    )
    _draw_losses(folder / "loss.png", name, losses)


def _draw_losses(path: Path, name: str, losses: np.ndarray) -> None:
    from deepcache.figures.style import plt, save  # matplotlib takes a second

    window = min(SMOOTHING, len(losses))
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    figure, axes = plt.subplots(figsize=(5, 3), layout="constrained")
    axes.plot(losses, color="0.8", linewidth=0.5, label="each step")
    axes.plot(np.arange(window - 1, len(losses)), smooth, color="C0", label=f"mean of {window} steps")
    axes.set(xlabel="optimisation step", ylabel="loss", yscale="log", title=f"Training of {name}")
    axes.legend()
    save(figure, path)
