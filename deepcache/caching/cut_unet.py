"""A U-Net that is cut: its two passes, and the hook that takes the feature."""

from collections.abc import Callable

import torch
from torch import nn

from deepcache.caching.attention_readers import SkippedAttention
from deepcache.caching.branches import Cut, find_cut
from deepcache.caching.execution import Execution
from deepcache.caching.passes import Tap, full_pass, shallow_pass
from deepcache.caching.shallow import shallow_view
from deepcache.caching.skipped_residuals import NoResiduals, SkippedResiduals
from deepcache.caching.structure import is_same, structure
from deepcache.caching.writes import Writes


class CutUNet:
    """The passes of a U-Net as it is now, until `remove`.

    Args:
        unet: the U-Net.
        branch: where it is cut.
        forward: the U-Net's own.
        execution: how the passes run.
        taps: whether the feature is taken at all.

    Attributes:
        passes: as they run, full and shallow.
        eager: whether that is as they are.
        skipped_attention: what of it a shallow pass leaves out.

    Raises:
        DeepCacheError: if the U-Net cannot be cut there, or the passes cannot run like that.
    """

    def __init__(
        self,
        unet: nn.Module,
        branch: int,
        forward: Callable,
        execution: Execution,
        taps: bool,
    ):
        execution = execution.on(unet)
        self._unet, self._execution = unet, execution
        self._cut = cut = find_cut(unet, branch)
        self.eager = execution.eager
        writes = Writes() if self.eager else None  # else the copies are part of what is compiled or recorded
        tap = Tap(self._deliver if self.eager else None, writes)
        view = shallow_view(unet, cut)
        self.skipped_attention = SkippedAttention(unet, view)
        self.passes = execution.prepare(
            full_pass(forward, tap if taps else None),
            shallow_pass(view, writes),
            device=next(unet.parameters()).device,
        )
        self._residuals = SkippedResiduals(unet, cut) if isinstance(cut, Cut) else NoResiduals()
        self._receiver: tuple | None = None  # while a full pass runs: what belongs to the feature, who gets it
        self._structure = self._structure_now()
        self._hook = cut.feeder.register_forward_hook(tap)

    @property
    def mode(self) -> str:
        """How the passes run, see deepcache.execution_modes."""
        return self._execution.mode_of(self.passes)

    @property
    def is_stale(self) -> bool:
        """Whether what the shallow pass shares with the U-Net has been replaced there.

        Or whether the feature is changed after it was taken, by a hook that came later.
        """
        last_hook = next(reversed(self._cut.feeder._forward_hooks), None)
        return last_hook != self._hook.id or not is_same(self._structure, self._structure_now())

    def _structure_now(self) -> tuple:
        return structure(self._unet, self._cut, deep=bool(self._execution.graph))

    def remove(self) -> None:
        """Leave the U-Net as it was."""
        self._hook.remove()

    def full(self, args: tuple, kwargs: dict, observe: Callable[[torch.Tensor], None]):
        """Run all of it; `observe` is called with the feature, as it is when the pass has computed it.

        Raises:
            DeepCacheError: if a ControlNet's residuals are given to a U-Net of another shape than diffusers'.
        """
        outer = self._receiver  # a hook may call the U-Net within its call
        self._receiver = self._residuals.behind_middle(args, kwargs), observe
        try:
            output, feature = self.passes[0](*args, **kwargs)
            if feature is not None:
                self._deliver(feature)
        finally:
            self._receiver = outer
        return output

    def shallow(self, feature: torch.Tensor, args: tuple, kwargs: dict):
        """Run the outermost layers with a feature in the place of the others; arguments as of a full pass."""
        args, kwargs = self._residuals.left_out(args, kwargs)
        return self.passes[1](feature, *args, **kwargs)

    def _deliver(self, feature: torch.Tensor) -> None:
        behind, observe = self._receiver
        for residual in behind:
            feature = feature + residual if residual.shape == feature.shape else feature
        observe(feature)
