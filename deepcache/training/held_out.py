"""The images that no training sees: they only measure what was learned."""

import torch

HELD_OUT = 360  # of the 1,797 digits


def split(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the indices, int64, of the images held out, shape (360,), and of those used, shape (count - 360,)."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[:HELD_OUT], order[HELD_OUT:]
