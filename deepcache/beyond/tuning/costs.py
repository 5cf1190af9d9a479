"""What a trajectory costs, from what a full and a shallow step cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from deepcache.beyond.tuning.trajectories import Trajectories
from deepcache.caching.branches import OUTPUT
from deepcache.caching.execution import Execution
from deepcache.cost.macs import branches_macs
from deepcache.cost.timing import measure
from deepcache.errors import DeepCacheError
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel

SHORT, LONG = 4, 12  # steps of the trajectories that are timed


@dataclass(frozen=True)
class Costs:
    """The parts of a trajectory's cost, in seconds for a batch, or in G MACs for an image.

    Attributes:
        fixed: of what is no step: text encoder, first stage; 0 in MACs.
        full: of a step that runs fully, with the scheduler's part.
        shallow: of a shallow one, by branch, or OUTPUT.
    """

    fixed: float
    full: float
    shallow: Mapping[int | str, float]

    @classmethod
    def parse(cls, content: Mapping) -> "Costs":
        """From what JSON made of them: there branches are strings."""
        shallow = {int(place) if place.isdigit() else place: cost for place, cost in content["shallow"].items()}
        return cls(content["fixed"], content["full"], shallow)

    def of(self, steps: int, full: int, branch: int | str) -> float:
        """Of a trajectory of so many calls of the U-Net, so many of them full."""
        return self.fixed + full * self.full + (steps - full) * self.shallow[branch]

    def uncached(self, calls: int) -> float:
        """Of a trajectory of so many calls of the U-Net, all of them full."""
        return self.fixed + calls * self.full

    def full_steps(self, budget: float, steps: int, branch: int | str) -> int:
        """How many of so many calls may be full within a budget: at most all, below 1 where not one may."""
        saved = self.full - self.shallow[branch]
        if saved <= 0:  # shallow steps that save nothing: all or none
            return steps if self.of(steps, steps, branch) <= budget else 0
        return min(steps, math.floor((budget - self.of(steps, 0, branch)) / saved + 1e-9))


def measure_costs(
    model: ImageModel,
    sampler: Sampler,
    branches: Sequence[int | str],
    batch_size: int,
    device: torch.device,
    execution: Execution,
    repeats: int = 5,
    on_run: Callable[[str], None] = lambda name: None,
    others: Mapping[str, Callable[[Sampler], Callable[[], None]]] | None = None,
) -> Costs:
    """Seconds for a batch, from trajectories of a few steps, interleaved.

    Args:
        model: whose time it is.
        sampler: its name and guidance count, its steps do not.
        branches: where the U-Net may be cut, OUTPUT among them.
        batch_size: images of a batch.
        device: where the model runs.
        execution: how passes run.
        repeats: timed repetitions of each trajectory.
        on_run: called with a name after each trajectory, `repeats` + 1 times for each of 2 + len(branches) names.
        others: more places by name: what makes a trajectory of which all steps but the first are shallow there.

    Raises:
        DeepCacheError: if passes cannot run like that, or time cannot be told.
    """
    known = Trajectories(model, batch_size, execution)
    short, long = (Sampler(sampler.name, steps, guidance_scale=sampler.guidance_scale) for steps in (SHORT, LONG))
    variants = {"short": known.uncached(short), "long": known.uncached(long)}
    variants |= {f"branch {branch}": known.cached(long, (0,), branch) for branch in branches}
    variants |= {f"branch {place}": make(long) for place, make in (others or {}).items()}
    found = {name: timing.median for name, timing in measure(variants, repeats, device, on_run).items()}
    fewer, more = model.num_steps(short), model.num_steps(long)
    full = (found["long"] - found["short"]) / (more - fewer)
    if full <= 0:
        raise DeepCacheError("the time of a step could not be measured: something else keeps this machine busy")
    fixed = max(0.0, found["long"] - more * full)
    places = [*branches, *(others or {})]
    shallow = {place: max(0.0, (found[f"branch {place}"] - fixed - full) / (more - 1)) for place in places}
    return Costs(fixed, full, shallow)


def weightless(model: ImageModel) -> tuple[nn.Module, dict]:
    """A model's U-Net without weights, which costs as much, and inputs for it: of one image, without guidance."""
    with torch.device("meta"):
        bare = type(model.unet).from_config(model.unet.config).eval()
    return bare, dummy_inputs(bare, 1, model.latent_size, "meta", tokens=model.context_tokens)


def count_costs(model: ImageModel, sampler: Sampler, branches: Sequence[int | str]) -> Costs:
    """G MACs of the U-Net for an image."""
    bare, inputs = weightless(model)
    full, shallow = branches_macs(bare, [branch for branch in branches if branch != OUTPUT], inputs)
    shallow |= {OUTPUT: 0.0} if OUTPUT in branches else {}
    halves = 2 if sampler.guidance_scale > 1 else 1
    return Costs(0.0, halves * full, {branch: halves * value for branch, value in shallow.items()})
