"""A U-Net of which only its two passes are there, made elsewhere: exported ones."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import nn

from deepcache.caching.attention_readers import SkippedAttention
from deepcache.caching.branches import OUTPUT, find_cut
from deepcache.caching.execution import Execution
from deepcache.errors import DeepCacheError


class ReadyPasses(nn.Module, ABC):
    """Such a U-Net: called, it runs fully.

    Attributes:
        branch: where it is cut, 0-based; it has no other.
        fingerprint: of the weights that it was made of, see deepcache.caching.fingerprint.
        runtime: name of what runs it.
    """

    branch: int
    fingerprint: str
    runtime: str

    @abstractmethod
    def full(self, args: tuple, kwargs: dict) -> tuple[object, torch.Tensor]:
        """(what the U-Net returns, the feature) of the arguments of a call."""

    @abstractmethod
    def shallow(self, feature: torch.Tensor, args: tuple, kwargs: dict) -> object:
        """What the U-Net returns with a feature in the place of what is skipped."""

    def forward(self, *args, **kwargs):
        """Run fully."""
        return self.full(args, kwargs)[0]


class ReadyCut:
    """Its passes; what they offer is what CutUNet's do.

    Args:
        unet: the U-Net.
        execution: how the passes are to run.
        taps: whether the feature is taken at all.

    Raises:
        DeepCacheError: if they are to be compiled or recorded.
    """

    passes = ()
    eager = True
    is_stale = False

    def __init__(self, unet: ReadyPasses, execution: Execution, taps: bool):
        if execution.compile is not False or execution.graph not in (False, "auto"):
            raise DeepCacheError("exported passes run as they are: leave compile and graph out")
        self._unet, self._taps, self.mode = unet, taps, "eager"
        self.skipped_attention = SkippedAttention(nn.Module(), nn.Module())

    def remove(self) -> None:
        """The U-Net is as it was."""

    def full(self, args: tuple, kwargs: dict, observe: Callable[[torch.Tensor], None]):
        """Run all of it; `observe` is called with the feature."""
        output, feature = self._unet.full(args, kwargs)
        if self._taps:
            observe(feature)
        return output

    def shallow(self, feature: torch.Tensor, args: tuple, kwargs: dict):
        """Run the outermost layers with a feature in the place of the others."""
        return self._unet.shallow(feature, args, kwargs)


def check_place(unet: nn.Module, place: int | str) -> None:
    """DeepCacheError where a U-Net cannot be cut there."""
    if isinstance(unet, ReadyPasses):
        if place != unet.branch:
            made = f"this U-Net was exported for branch {unet.branch}, not {place}"
            raise DeepCacheError(f"{made}: give branch={unet.branch}, or export it anew")
    elif place != OUTPUT:
        find_cut(unet, place)
