"""What tells one U-Net's weights from another's."""

import hashlib

import torch
from torch import nn

from deepcache.caching.ready_passes import ReadyPasses


def fingerprint(unet: nn.Module) -> str:
    """SHA-256 of all weights with their names and shapes, floating-point ones as float16 holds them.

    So it is the same whether float32 weights were loaded as they are or in float16. Of exported passes it is that of
    the weights that they were made of.
    """
    if isinstance(unet, ReadyPasses):
        return unet.fingerprint
    digest = hashlib.sha256()
    for name, tensor in sorted(unet.state_dict().items()):
        plain = tensor.detach().to(torch.float16) if tensor.is_floating_point() else tensor.detach()
        digest.update(f"{name} {tuple(plain.shape)} {plain.dtype}".encode())
        digest.update(plain.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
