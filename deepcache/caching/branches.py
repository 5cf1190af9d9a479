"""Where: the places at which a U-Net can be cut.

A diffusers U-Net makes one skip tensor with `conv_in`, one with each layer of its down blocks and one with each
downsampler; each layer of its up blocks consumes one, in reverse. Branch b (0-based; the paper counts from 1) keeps the
layers that make and consume the first b + 1 skip tensors and cuts off everything deeper. U-Nets of other shapes: see
deepcache.caching.layers.
"""

from dataclasses import dataclass

from torch import nn

from deepcache.caching.known_unets import layers_of
from deepcache.caching.layers import LayersCut
from deepcache.caching.schedules import is_integer
from deepcache.errors import DeepCacheError

OUTPUT = "output"  # in place of a branch: behind the last layer, so that all of them are cut off

# The lists that hold a block's layers side by side, in the order in which they run within one layer.
LAYER_PARTS = ("resnets", "temp_convs", "attentions", "temp_attentions", "motion_modules")


def place_words(branch: int | str) -> str:
    """`branch 0`, or `whole output`."""
    return "whole output" if branch == OUTPUT else f"branch {branch}"


@dataclass(frozen=True)
class KeptDown:
    """What a branch keeps of one down block: its first layers, perhaps the downsampler, perhaps all."""

    layers: int
    downsampler: bool
    whole: bool


@dataclass(frozen=True)
class Cut:
    """What a branch of a diffusers U-Net keeps, and what feeds it.

    Attributes:
        down: one entry for each down block of which something is kept.
        up_block: index of the first up block that is kept.
        up_layer: index of the first layer that is kept in it.
        feeder: the module whose output is the cached feature.
    """

    down: tuple[KeptDown, ...]
    up_block: int
    up_layer: int
    feeder: nn.Module


def num_branches(unet: nn.Module) -> int:
    """Number of branches: one for each skip tensor (without a middle block, the deepest of them would skip nothing).

    Raises:
        DeepCacheError: if the module is not a U-Net whose up layers consume its skip tensors one by one.
    """
    layers = layers_of(unet)
    if layers is not None:
        return layers.num_branches
    skips = _check_is_unet(unet)
    return skips if unet.mid_block is not None else skips - 1


def find_cut(unet: nn.Module, branch: int) -> Cut | LayersCut:
    """Locate a branch.

    Raises:
        DeepCacheError: if the module is no such U-Net (see `num_branches`) or has no such branch.
    """
    known = layers_of(unet)
    count = num_branches(unet) if known is None else known.num_branches
    if not is_integer(branch) or not 0 <= branch < count:
        kind = type(unet).__name__
        raise DeepCacheError(f"branch must be an integer from 0 to {count - 1} for this {kind}, not {branch!r}")
    if known is not None:
        return known.cut(branch)
    down, left = [], branch
    for block in unet.down_blocks:
        if left == 0:
            break
        layers = min(left, len(block.resnets))
        left -= layers
        downsampler = left > 0 and _has(block, "downsamplers")
        left -= downsampler
        whole = layers == len(block.resnets) and downsampler == _has(block, "downsamplers")
        down.append(KeptDown(layers, downsampler, whole))
    up_layers = [(i, j) for i, block in enumerate(unet.up_blocks) for j in range(len(block.resnets))]
    up_block, up_layer = up_layers[-(branch + 1)]
    return Cut(tuple(down), up_block, up_layer, _feeder(unet, up_block, up_layer))


def find_feeder(unet: nn.Module, branch: int | str) -> nn.Module:
    """The module whose output is the cached feature of a branch, or of OUTPUT.

    Raises:
        DeepCacheError: as from `find_cut`; or the U-Net does not end with `conv_out`.
    """
    if branch != OUTPUT:
        return find_cut(unet, branch).feeder
    if not hasattr(unet, "conv_out") or getattr(unet.config, "time_embedding_type", None) == "fourier":
        raise DeepCacheError(f"{type(unet).__name__} does not end with conv_out: its output cannot be recorded")
    return unet.conv_out


def _feeder(unet: nn.Module, up_block: int, up_layer: int) -> nn.Module:
    if up_layer > 0:
        block = unet.up_blocks[up_block]
        last_part = [name for name in LAYER_PARTS if _has(block, name)][-1]
        return part_of_layers(block, last_part, slice(up_layer))[-1]
    return unet.up_blocks[up_block - 1] if up_block > 0 else unet.mid_block


def part_of_layers(block: nn.Module, part: str, layers: slice) -> list[nn.Module]:
    """What some of a block's layers have in one of its LAYER_PARTS; each may have several (AudioLDM2's attentions)."""
    modules = list(getattr(block, part))
    each = len(modules) // len(block.resnets)
    start, stop, _ = layers.indices(len(block.resnets))
    return modules[start * each : stop * each]


def _has(block: nn.Module, name: str) -> bool:
    part = getattr(block, name, None)
    return part is not None and len(part) > 0


def _check_is_unet(unet: nn.Module) -> int:
    """Count the skip tensors; raise unless the up layers consume exactly these."""
    kind = type(unet).__name__
    for name in ("conv_in", "down_blocks", "mid_block", "up_blocks"):
        if not hasattr(unet, name):
            raise DeepCacheError(f"{kind} is not a U-Net (it has no {name}): DeepCache needs skip connections")
    for block in [*unet.down_blocks, *unet.up_blocks]:
        if not _has(block, "resnets"):
            raise DeepCacheError(f"{kind} has a {type(block).__name__} without resnets: its branches are not known")
        if hasattr(block, "skip_conv"):
            raise DeepCacheError(
                f"{kind} has a {type(block).__name__}, which carries a second image past the cut: not supported"
            )
    skips = [_channels(unet.down_blocks[0].resnets[0])[0]]  # from conv_in
    for block in unet.down_blocks:
        outputs = [_channels(resnet)[1] for resnet in block.resnets]
        skips += outputs + ([outputs[-1]] if _has(block, "downsamplers") else [])
    resnets = [resnet for block in unet.up_blocks for resnet in block.resnets]
    joined = [_channels(resnet)[0] for resnet in resnets]
    before = [_channels(unet.down_blocks[-1].resnets[-1])[1], *(_channels(resnet)[1] for resnet in resnets)]
    expected = [hidden + skip for hidden, skip in zip(before, reversed(skips), strict=False)]
    if len(joined) != len(skips) or joined != expected:
        raise DeepCacheError(
            f"the up layers of this {kind} do not take its {len(skips)} skip tensors one by one: it cannot be cut"
        )
    return len(skips)


def _channels(resnet: nn.Module) -> tuple[int, int]:
    whole = getattr(resnet, "module", resnet)  # what FreeNoise runs in parts
    spatial = getattr(whole, "spatial_res_block", whole)  # the spatio-temporal resnet holds a spatial one
    return spatial.in_channels, spatial.out_channels
