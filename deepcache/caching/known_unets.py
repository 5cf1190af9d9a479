"""U-Nets of other shapes that are known without being registered: told by their parts, none of them is imported."""

from collections.abc import Callable, Iterator

from torch import nn

from deepcache.caching.layers import UNetLayers, registered
from deepcache.errors import DeepCacheError


def layers_of(unet: nn.Module) -> UNetLayers | None:
    """The layers of a U-Net that is registered or known here; None of one that may be of diffusers' usual shape.

    Raises:
        DeepCacheError: if what is registered returns something else, or modules that are not the U-Net's.
    """
    layers = registered(unet) or next((layers for name, layers in KNOWN.items() if _is_called(unet, name)), None)
    if layers is None and all(hasattr(unet, part) for part in ("input_blocks", "middle_block", "output_blocks")):
        layers = guided_diffusion
    return None if layers is None else _checked(layers(unet), unet)


def _checked(layers: UNetLayers, unet: nn.Module) -> UNetLayers:
    kind = type(unet).__name__
    if not isinstance(layers, UNetLayers):
        raise DeepCacheError(f"the layers of a {kind} are told by a {type(layers).__name__}: return UNetLayers")
    own = set(unet.modules())
    stray = next((one for group in (*layers.down, layers.middle, *layers.up) for one in group if one not in own), None)
    if stray is not None:
        raise DeepCacheError(f"a {type(stray).__name__} among the layers of this {kind} is none of its modules")
    return layers


def guided_diffusion(unet: nn.Module) -> UNetLayers:
    """OpenAI's guided-diffusion (Dhariwal and Nichol 2021), and CompVis's latent-diffusion after it."""
    return UNetLayers(unet.input_blocks, unet.middle_block, unet.output_blocks)


def unet_1d(unet: nn.Module) -> UNetLayers:
    """Of diffusers, for signals: each block hands over one tensor, but the first of more blocks down than up."""
    down, up = list(unet.down_blocks), list(unet.up_blocks)
    more = len(down) - len(up)
    return UNetLayers(
        [down[: more + 1], *down[more + 1 :]],
        unet.mid_block,
        up,
        down_returns=lambda hidden: (hidden, (hidden,)),
    )


def monai(unet: nn.Module) -> UNetLayers:
    """MONAI's DiffusionModelUNet, in two and three dimensions (Pinaya et al. 2023)."""
    down, up = [unet.conv_in], []
    for block in unet.down_blocks:
        down += [*_layers(block), *([] if block.downsampler is None else [block.downsampler])]
    for block in unet.up_blocks:
        layers = list(_layers(block))
        up += [*layers[:-1], layers[-1] + ([] if block.upsampler is None else [block.upsampler])]
    return UNetLayers(down, unet.middle_block, up)


def _layers(block: nn.Module) -> Iterator[list[nn.Module]]:
    attentions = getattr(block, "attentions", None)
    for index, resnet in enumerate(block.resnets):
        yield [resnet, *([attentions[index]] if attentions is not None else [])]


# By package and name of the class.
KNOWN: dict[tuple[str, str], Callable[[nn.Module], UNetLayers]] = {
    ("diffusers", "UNet1DModel"): unet_1d,
    ("monai", "DiffusionModelUNet"): monai,
}


def _is_called(unet: nn.Module, name: tuple[str, str]) -> bool:
    return any((kind.__module__.partition(".")[0], kind.__name__) == name for kind in type(unet).__mro__)
