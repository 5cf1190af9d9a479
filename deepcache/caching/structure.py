"""What a view of a U-Net takes over from it, to see whether that has changed since."""

from collections.abc import Iterator

from torch import nn

from deepcache.caching.branches import LAYER_PARTS, Cut
from deepcache.caching.layers import LayersCut
from deepcache.caching.replaced_forward import SLOTS

# What comes and goes without changing what a view runs: accelerate's marks.
PASSING = (*SLOTS, "_hf_hook")


def structure(unet: nn.Module, cut: Cut | LayersCut, *, deep: bool = False) -> tuple:
    """The objects that a view of this cut was made of, in order.

    Args:
        unet: a U-Net.
        cut: where it is cut.
        deep: with every layer and weight of it, and the numbers that layers hold: what a CUDA graph has recorded.
    """
    return (*_of_view(unet, cut), *(_recorded(unet) if deep else ()))


def whole_structure(unet: nn.Module, *, deep: bool = False) -> tuple:
    """All modules of a U-Net, in order; `deep` as in `structure`."""
    return (*unet.modules(), *(_recorded(unet) if deep else ()))


def is_same(before: tuple, now: tuple) -> bool:
    """Whether nothing was put in the place of anything else."""
    return len(before) == len(now) and all(map(_alike, before, now))


def _alike(one: object, other: object) -> bool:
    return one is other or (isinstance(one, (int, float, str)) and one == other)


def _recorded(unet: nn.Module) -> list[object]:
    parts = []
    for module in unet.modules():
        for name, value in vars(module).items():
            own_dictionary = isinstance(value, dict) and not name.startswith("_")  # as peft's scales
            parts += value.values() if own_dictionary else [] if module is unet and name in PASSING else [value]
        parts += [tensor.data_ptr() for tensor in module.parameters(recurse=False)]
    return parts


def _of_view(unet: nn.Module, cut: Cut | LayersCut) -> Iterator[object]:
    if isinstance(cut, LayersCut):
        yield from _held(unet, _containers(unet, {*cut.down, *cut.rest}))
        return
    blocks = [block for block, kept in zip(unet.down_blocks, cut.down, strict=False) if not kept.whole]
    blocks += [unet.up_blocks[cut.up_block]] if cut.up_layer > 0 else []
    yield from _held(unet, [unet, *blocks])
    for block in (unet.down_blocks, unet.up_blocks):
        yield from block
    for block in blocks:
        for name in LAYER_PARTS:
            yield from getattr(block, name, None) or ()


def _held(unet: nn.Module, containers: list[nn.Module]) -> Iterator[object]:
    for module in containers:
        yield from module.children()
        passing = PASSING if module is unet else ("_hf_hook",)
        yield from (value for name, value in vars(module).items() if name not in passing)


def _containers(unet: nn.Module, skipped: set[nn.Module]) -> list[nn.Module]:
    """The modules that hold skipped ones, directly or further in."""
    return [one for one in unet.modules() if one not in skipped and not skipped.isdisjoint(one.modules())]
