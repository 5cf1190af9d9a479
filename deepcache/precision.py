"""What float32 means on a GPU: products may be rounded to TF32, ten bits of mantissa, where torch is set so."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.backends import cudnn


def tf32(device: str | torch.device) -> list[str]:
    """Kinds of float32 operations that torch, as it is set, lets a device round to TF32; none on a CPU.

    Nothing here switches it on or off for sampling: cached and uncached images and times are made alike.
    """
    if torch.device(device).type != "cuda":
        return []
    allowed = {"convolution": cudnn.allow_tf32, "matmul": torch.backends.cuda.matmul.allow_tf32}
    return [kind for kind, on in allowed.items() if on]


@contextmanager
def exact() -> Iterator[None]:
    """Inside, float32 is float32, and convolutions are deterministic: what is measured of an image is the same always.

    What is not float32 stays as it is.
    """
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_tf32
    matmul.allow_tf32 = False
    try:
        with cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
    finally:
        matmul.allow_tf32 = before
