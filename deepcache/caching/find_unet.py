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
        if not hasattr(getattr(pipe, "scheduler", None), "set_timesteps"):
            raise DeepCacheError(
                f"{type(pipe_or_unet).__name__} has no scheduler that sets timesteps: give DeepCache its U-Net instead"
            )
    if hasattr(unet, "_orig_mod"):
        raise DeepCacheError("this U-Net was compiled: enable DeepCache on the uncompiled U-Net")
    return pipe, unwrapped(unet)


def unwrapped(unet: nn.Module) -> nn.Module:
    """The U-Net itself where peft or torch.compile has put something around it that calls the U-Net's forward."""
    unet = getattr(unet, "_orig_mod", unet)
    return unet.get_base_model() if hasattr(unet, "get_base_model") else unet
