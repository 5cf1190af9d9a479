"""The U-Net of what DeepCache is given."""

from torch import nn

from deepcache.errors import DeepCacheError


def find_unet(pipe_or_unet) -> tuple[object | None, nn.Module]:
    """Return (pipeline or None, U-Net)."""
    if isinstance(pipe_or_unet, nn.Module):
        pipe, unet = None, pipe_or_unet
    else:
        pipe, unet = pipe_or_unet, getattr(pipe_or_unet, "unet", None)
        if unet is None:
            raise DeepCacheError(f"{type(pipe_or_unet).__name__} has no U-Net: DeepCache needs skip connections")
        if not hasattr(pipe, "scheduler"):
            raise DeepCacheError(f"{type(pipe_or_unet).__name__} has no scheduler: give DeepCache its U-Net instead")
    if hasattr(unet, "_orig_mod"):
        raise DeepCacheError("this U-Net was compiled: enable DeepCache on the uncompiled U-Net")
    return pipe, unwrapped(unet)


def unwrapped(unet: nn.Module) -> nn.Module:
    """The U-Net itself where peft has put a model of its own around it, whose forward calls the U-Net's."""
    return unet.get_base_model() if hasattr(unet, "get_base_model") else unet
