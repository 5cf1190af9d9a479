"""A small model of CompVis's kind: its weights and what the original code computes with them."""

import csv
import math
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "workflow/scripts/convert_ldm.py"
DATA = Path(__file__).parents[1] / "data" / "ldm"
VECTORS = DATA / "compvis_vectors.safetensors"
CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"
LAYER = "model.diffusion_model.input_blocks.4.0.in_layers.2.weight"


def keys_and_shapes(file: str) -> dict[str, tuple[int, ...]]:
    with (DATA / file).open(encoding="utf-8") as lines:
        return {row["key"]: tuple(map(int, row["shape"].split("x"))) for row in csv.DictReader(lines)}


def draw(key: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    values = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        return 0.1 * values + float(key.endswith("weight"))
    return values if "embedding" in key else values * math.prod(shape[1:]) ** -0.5


def error(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference, relative to the expected norm."""
    return ((actual - expected).norm() / expected.norm()).item()
