"""How the final image changes with what is added to a branch's feature, by backward passes through a trajectory.

Let F_t be the feature at call t of the U-Net, and J_t the derivative of the image's pixels with respect to something
that is added to F_t at call t alone, to which all that follows reacts. One backward pass from a probe v, which has the
shape of the image, gives a_t = J_t' v at all calls t. Of these only the products <a_t, F_s> are kept, T x T numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from deepcache.caching.branches import find_feeder
from deepcache.caching.layer_outputs import first_output
from deepcache.caching.replaced_forward import ReplacedForward
from deepcache.errors import DeepCacheError


class Adjoint:
    """Runs trajectories of a U-Net so that they can be differentiated with respect to a branch's feature.

    What a call of the U-Net computes is not kept but computed again by each backward pass (activation checkpointing;
    Chen et al. 2016, arXiv 1604.06174): memory holds the activations of one call, and for every call its latent, its
    feature and a_t.

    Args:
        unet: called once a step, uncached.
        branch: 0-based skip branch whose feeder's output is the feature, or OUTPUT.
        on_call: called after each call of the U-Net and after each of a backward pass.

    Attributes:
        features: F_t of the trajectory so far, shape (B, C, H, W).
    """

    def __init__(self, unet: nn.Module, branch: int | str, on_call: Callable[[], None] = lambda: None):
        self._unet, self._feeder, self._on_call = unet, find_feeder(unet, branch), on_call
        self.features: list[torch.Tensor] = []
        self._added: list[torch.Tensor] = []
        self._recomputed = True

    @contextmanager
    def differentiable(self, modules: Sequence[nn.Module]) -> Iterator[None]:
        """Record one trajectory, and differentiate it, inside the block; what it held is let go in the end.

        Args:
            modules: of the whole model; no gradients are computed for their weights.
        """
        replaced, hook = ReplacedForward(self._unet), self._feeder.register_forward_hook(self._add)
        replaced.replace(self._call(replaced.original), owner=self)
        try:
            with torch.enable_grad(), _frozen(modules):
                yield
        finally:
            replaced.restore()
            hook.remove()
            self.features.clear()
            self._added.clear()

    def products(self, pixels: torch.Tensor, probe: torch.Tensor, keep: bool = False) -> torch.Tensor:
        """<a_t, F_s> for each image, float64, shape (B, T, T): a row for each call t.

        Where the U-Net's batch holds every image several times (guidance), these are added up.

        Args:
            pixels: the trajectory's images, shape (B, ...).
            probe: v, the same shape.
            keep: whether another backward pass follows.

        Raises:
            DeepCacheError: if the feature is not one of each image, or a_t is not finite.
        """
        batch, images = len(self.features[0]), len(pixels)
        if batch % images:
            raise DeepCacheError(f"the U-Net was called with a batch of {batch} for {images} images: not recorded")
        found = torch.autograd.grad((pixels * probe).sum(), self._added, retain_graph=keep, allow_unused=True)
        pairs = zip(found, self.features, strict=True)
        adjoint = [torch.zeros_like(feature) if a is None else a for a, feature in pairs]
        rows = torch.zeros(images, len(adjoint), len(adjoint), dtype=torch.float64)
        for index in range(batch):  # one by one: in float64 all of them would be several times the memory
            a, f = (torch.stack([each[index].flatten() for each in of]).double() for of in (adjoint, self.features))
            # Weights add up to 1, so what all calls share drops out: without it, less is rounded.
            rows[index % images] += (a @ (f - f.mean(0)).T).cpu()
        if not rows.isfinite().all():
            raise DeepCacheError("derivatives of the image are not finite: record with --precision float32")
        return rows

    def _call(self, forward: Callable) -> Callable:
        def call(*args, **kwargs):
            self._recomputed = False
            try:
                return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
            finally:
                self._recomputed = True
                self._on_call()

        return call

    def _add(self, module: nn.Module, args: tuple, output: torch.Tensor | tuple) -> torch.Tensor | tuple:
        feature = first_output(output)
        added = feature.new_zeros(1).expand_as(feature).requires_grad_()  # zeros that take no memory
        if not self._recomputed:
            self.features.append(feature.detach().clone())  # FreeU and adapters write into it afterwards
            self._added.append(added)
            added.register_hook(self._arrived)
        changed = feature + added
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    def _arrived(self, gradient: torch.Tensor) -> None:
        self._on_call()  # what it returns is not to take the gradient's place


@contextmanager
def _frozen(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Without gradients for weights."""
    trained = [weight for module in modules for weight in module.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)
