"""What the methods of a contest are set by: the model, what its steps cost, how its latents move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from deepcache.beyond.caching.tgate import cross_attention
from deepcache.beyond.equal_time.timing import GATED
from deepcache.beyond.tuning.costs import Costs, weightless
from deepcache.caching.branches import OUTPUT
from deepcache.caching.layer_outputs import input_watched
from deepcache.cost.macs import GIGA, branches_macs, count_ops_and_params
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel


@dataclass(frozen=True)
class Known:
    """A model, its usual trajectory, and what steps cost.

    Attributes:
        model: makes the images.
        usual: the sampler that a speed-up counts from, uncached.
        costs: seconds of a batch, by branch, OUTPUT and, where there is cross-attention, GATED.
        full_macs: G MACs of a full pass for an image, without guidance's second half.
        shares: what part of them a step has that is not full, by the same places.
        merging: ratio of merged tokens -> how many times as fast; empty where none are merged.
        inputs: what the U-Net is called with at each step of a usual trajectory.
    """

    model: ImageModel
    usual: Sampler
    costs: Costs
    full_macs: float
    shares: Mapping[int | str, float]
    merging: Mapping[float, float]
    inputs: Sequence[torch.Tensor]

    @property
    def calls(self) -> int:
        """Of the U-Net in a usual trajectory, T."""
        return self.model.num_steps(self.usual)

    @property
    def usual_cost(self) -> float:
        """Of a usual trajectory's batch, seconds."""
        return self.costs.uncached(self.calls)

    def full_steps(self, limit: float, place: int | str) -> int:
        """How many of the usual steps may be full within seconds of a batch; see `Costs.full_steps`."""
        return self.costs.full_steps(limit, self.calls, place)

    @property
    def branches(self) -> list[int]:
        """Where its U-Net is cut, but for OUTPUT."""
        return [place for place in self.costs.shallow if place not in (OUTPUT, GATED)]


def macs_of_steps(model: ImageModel, usual: Sampler, branches: Sequence[int]) -> tuple[float, dict[int | str, float]]:
    """G MACs of a full pass for an image, and the share of them that a step of each place has: see `Known`.

    After T-GATE's gate the cross-attention's layers are left out and, with guidance, one of two halves; of OUTPUT all.
    """
    bare, inputs = weightless(model)
    full, shallow = branches_macs(bare, branches, inputs)
    shares = {branch: one / full for branch, one in shallow.items()} | {OUTPUT: 0.0}
    skipped = {id(layer) for layer in cross_attention(bare)}
    if skipped:
        by_layer = count_ops_and_params(bare, inputs, layer_wise=True)[2]
        names = [name for name, module in bare.named_modules() if id(module) in skipped]
        attended = sum(by_layer.get(name, 0) for name in names) / GIGA
        shares[GATED] = (1 - attended / full) / (2 if usual.guidance_scale > 1 else 1)
    return full, shares


@torch.no_grad()
def latents_of(model: ImageModel, usual: Sampler, indices: Sequence[int], seed: int) -> list[torch.Tensor]:
    """What the U-Net is called with at each step of an uncached trajectory."""
    found: list[torch.Tensor] = []
    with input_watched(model.unet, found.append):
        model.make_latents(indices, seed, usual)
    return found
