"""The full and the shallow pass of a diffusers U-Net as torch.export's programs."""

from collections.abc import Mapping

import torch
from torch import nn

from deepcache.caching.branches import find_cut
from deepcache.caching.layer_outputs import output_watched
from deepcache.caching.shallow import shallow_view
from deepcache.export.call import as_call

FEATURE = "feature"


class FullPass(nn.Module):
    """(tensors of a call in their order) -> (the U-Net's output, the feature).

    Args:
        unet: a diffusers U-Net.
        feeder: the layer whose output is the feature.
        names: of the tensors.
    """

    def __init__(self, unet: nn.Module, feeder: nn.Module, names: list[str]):
        super().__init__()
        self.unet, self._feeder, self._names = unet, [feeder], names

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One pass."""
        found: list[torch.Tensor] = []
        call = as_call(type(self.unet).forward, dict(zip(self._names, tensors, strict=True)))
        with output_watched(self._feeder[0], lambda feature: found.append(feature.clone())):
            output = self.unet(**call)[0]
        return output, found[0]


class ShallowPass(nn.Module):
    """(feature, tensors of a call in their order) -> the U-Net's output.

    Args:
        view: as `shallow_view` makes it.
        names: of the tensors.
    """

    def __init__(self, view: nn.Module, names: list[str]):
        super().__init__()
        self.unet, self._names = view, names

    def forward(self, feature: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
        """One pass."""
        cached = self.unet.deepcache_cached
        cached.feature = feature.clone()  # FreeU writes into it
        try:
            return self.unet(**as_call(type(self.unet).forward, dict(zip(self._names, tensors, strict=True))))[0]
        finally:
            cached.feature = None


@torch.no_grad()
def passes(unet: nn.Module, branch: int, tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[nn.Module, tuple]]:
    """The passes of a U-Net as modules, `full` and `shallow`, each with arguments that it takes.

    Args:
        unet: a diffusers U-Net in evaluation mode.
        branch: where it is cut, 0-based.
        tensors: of a call, by name.

    Raises:
        DeepCacheError: if it has no such branch.
    """
    cut, names = find_cut(unet, branch), list(tensors)
    full = FullPass(unet, cut.feeder, names)
    _, feature = full(*tensors.values())
    shallow = ShallowPass(shallow_view(unet, cut), names)
    return {"full": (full, tuple(tensors.values())), "shallow": (shallow, (feature, *tensors.values()))}


def program(module: nn.Module, arguments: tuple) -> torch.export.ExportedProgram:
    """One of them as a program for tensors of these shapes."""
    with torch.no_grad():
        return torch.export.export(module, arguments, strict=False)
