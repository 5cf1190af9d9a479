"""Token merging (Bolya and Hoffman 2023) by its authors' package, tomesd, which is optional."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

import torch

PACKAGE = "tomesd"


def merging_version() -> str | None:
    """Version of the package; None where it is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return None


@contextmanager
def merged(unet: torch.nn.Module, ratio: float, seed: int = 0) -> Iterator[None]:
    """Inside, self-attention at the U-Net's largest resolution sees fewer tokens; outside all is as before.

    All else is as the package has it. It draws at random which tokens take up others, alike for all images of a batch,
    so an image depends on its batch, too. The draws are those of `seed`, and torch's own generators are left alone.

    Args:
        unet: diffusers' UNet2DConditionModel.
        ratio: of the tokens that are merged, 0 to 0.75.
        seed: of the draws.
    """
    import tomesd

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tomesd.apply_patch(unet, ratio=ratio)
        try:
            yield
        finally:
            tomesd.remove_patch(unet)
            for module in unet.modules():  # the package leaves its settings, with a generator that cannot be copied
                vars(module).pop("_tome_info", None)
