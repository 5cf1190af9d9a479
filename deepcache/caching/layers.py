"""What a U-Net that is not of diffusers' shape consists of, told by somebody who knows it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from deepcache.errors import DeepCacheError

Group = nn.Module | Sequence[nn.Module]


@dataclass(frozen=True)
class UNetLayers:
    """The way down, the middle and the way up of a U-Net, in the order in which they run.

    A group is a module, or several that run one after the other. Each takes a hidden state as its first tensor and
    returns one, of shape (B, C, ...), C in the second place. What is in no group runs at every step.

    Attributes:
        down: groups of the way down, the outermost first; each ends with the module whose output is handed over to the
            way up, and the next begins with what runs behind that: a downsampler is the first of its group.
        middle: what lies between the two ways; None: nothing.
        up: groups of the way up, the innermost first, as many as of the way down; each begins with the module that
            takes what was handed over and ends in front of the next such: an upsampler is the last of its group.
        down_returns: what a module of `down` returns, of the hidden state that it hands on.

    Raises:
        DeepCacheError: if there are no groups, an empty one, not as many up as down, or a module in two places.
    """

    down: Sequence[Group]
    middle: Group | None
    up: Sequence[Group]
    down_returns: Callable[[torch.Tensor], Any] = field(default=lambda hidden: hidden)

    def __post_init__(self):
        for name in ("down", "up"):
            object.__setattr__(self, name, tuple(map(_as_group, getattr(self, name) or ())))
        object.__setattr__(self, "middle", () if self.middle is None else _as_group(self.middle))
        if not self.down or len(self.down) != len(self.up) or not all((*self.down, *self.up)):
            raise DeepCacheError(
                "a U-Net has as many groups up as down, at least one, none of them empty: "
                f"down has {len(self.down)}, up {len(self.up)}"
            )
        modules = [module for group in (*self.down, self.middle, *self.up) for module in group]
        twice = next((one for one in modules if modules.count(one) > 1), None)
        if twice is not None:
            raise DeepCacheError(f"a {type(twice).__name__} stands in two groups: each module has one place")

    @property
    def num_branches(self) -> int:
        """Branch b keeps the b + 1 outermost groups of both ways; without a middle the deepest would skip nothing."""
        return len(self.down) if self.middle else len(self.down) - 1

    def cut(self, branch: int) -> "LayersCut":
        """What a branch from 0 to `num_branches` - 1 skips."""
        kept = branch + 1
        down = [module for group in self.down[kept:] for module in group]
        rest = [*self.middle, *(module for group in self.up[: len(self.up) - kept] for module in group)]
        return LayersCut(tuple(down), tuple(rest), self.down_returns)


@dataclass(frozen=True)
class LayersCut:
    """What a branch skips.

    Attributes:
        down: modules of the way down.
        rest: those of the middle and of the way up.
        down_returns: see UNetLayers.
    """

    down: tuple[nn.Module, ...]
    rest: tuple[nn.Module, ...]
    down_returns: Callable[[torch.Tensor], Any]

    @property
    def feeder(self) -> nn.Module:
        """The module whose output is the cached feature."""
        return self.rest[-1]


def _as_group(group: Group) -> tuple[nn.Module, ...]:
    """A ModuleList is several, a Sequential one."""
    single = isinstance(group, nn.Module) and not isinstance(group, nn.ModuleList)
    found = (group,) if single else tuple(group)
    if not all(isinstance(one, nn.Module) for one in found):
        raise DeepCacheError(
            f"a group holds modules, not {next(one for one in found if not isinstance(one, nn.Module))!r}"
        )
    return found


_REGISTERED: dict[type[nn.Module], Callable[[nn.Module], UNetLayers]] = {}


def register_unet(
    kind: type[nn.Module], layers: Callable[[nn.Module], UNetLayers] | None = None
) -> Callable[[nn.Module], UNetLayers]:
    """Tell of what U-Nets of a class consist, so that they can be cached; subclasses with them. Also a decorator.

    `deepcache.check` says whether it is right.

    Args:
        kind: the class. The first argument of its `forward` is the sample, the second the timestep.
        layers: called with a U-Net of that class.

    Raises:
        DeepCacheError: if `kind` is no class of modules.
    """
    if layers is None:
        return lambda function: register_unet(kind, function)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise DeepCacheError(f"register_unet takes a class of torch.nn.Module, not {kind!r}")
    _REGISTERED[kind] = layers
    return layers


def registered(unet: nn.Module) -> Callable[[nn.Module], UNetLayers] | None:
    """What is registered for a U-Net's class, or for the nearest one that it is derived from."""
    return next((_REGISTERED[kind] for kind in type(unet).__mro__ if kind in _REGISTERED), None)
