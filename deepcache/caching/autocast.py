"""Whether torch computes in a lower precision than its arguments have."""

import torch


def autocast_state() -> tuple:
    """Compares equal where autocast is alike."""
    return tuple((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in ("cpu", "cuda"))
