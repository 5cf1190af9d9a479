"""What a timing job times: whole trajectories of model/sampler/method, each model loaded once."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from deepcache.caching.execution import Execution
from deepcache.caching.graphs import CudaRecorder, RecordingError
from deepcache.cost.timing import Timing, measure
from deepcache.data.manifests import read_prompts
from deepcache.errors import DeepCacheError, reason
from deepcache.methods.method import Method
from deepcache.methods.schedule import Place
from deepcache.models.checkpoints import open_checkpoint
from deepcache.sampler import Sampler
from deepcache.sampling.families import load_model
from deepcache.sampling.model import ImageModel


class Variants:
    """Trajectories by `model/sampler/method`.

    Args:
        manifests: of the models' checkpoints, by model.
        precisions: by model; float32 where there is none.
        prompts: manifests of what models make images from, by model.
        negative_prompts: what guidance leads away from, by model; from no prompt where there is none.
        plans: files of plans, by variant.
        batch_size: images in a trajectory.
        device: where they run.
        execution: how passes run, of all alike.

    Attributes:
        mode: what that has come to, see deepcache.execution_modes; known when there is a trajectory.
    """

    def __init__(
        self,
        manifests: Mapping[str, Path],
        precisions: Mapping[str, str],
        prompts: Mapping[str, Path],
        negative_prompts: Mapping[str, str],
        plans: Mapping[str, Path],
        batch_size: int,
        device: torch.device,
        execution: Execution,
    ):
        self._manifests, self._precisions, self._plans = manifests, precisions, plans
        self._prompts, self._negative_prompts = prompts, negative_prompts
        self._batch_size, self._device, self._execution = batch_size, device, execution
        self.mode: str | None = None
        self._recorder: CudaRecorder | None = None  # one, so that all graphs take no more memory than the largest
        self._models: dict[tuple, tuple[ImageModel, dict]] = {}

    def trajectory(self, variant: str) -> Callable[[], None]:
        """What samples a batch as the variant says.

        Raises:
            DeepCacheError: if its model has no manifest, or it cannot be sampled in this way.
        """
        name, *slugs = variant.split("/")
        if name not in self._manifests or len(slugs) != 2:
            raise DeepCacheError(f"--variants {variant}: no --checkpoints {name}=...")
        sampler, method = Sampler.parse(slugs[0]), Method.parse(slugs[1])
        model, manifest = self._load(name)
        plan = self._plans.get(variant)
        caching = method.resolve(Place(model.schedule_length(sampler), method.branch, sampler.slug, manifest, plan))
        twin = model.twin()  # enabled for good: what is compiled or recorded once serves every repetition
        cache = caching.applied(twin.unet, self._settled(twin.unet)).__enter__()

        def run() -> None:
            if cache is not None:
                cache.start_trajectory()
            twin.sample(range(self._batch_size), 0, sampler)

        return run

    def _settled(self, unet: nn.Module) -> Execution:
        """Of what is optional, all or nothing: times of one row replayed and of another not would say nothing."""
        execution = self._execution.on(unet)
        if execution.graph:
            self._recorder = self._recorder or CudaRecorder()
        settled = replace(execution, graph=self._recorder or False)
        self.mode = settled.name
        return settled

    def _load(self, name: str) -> tuple[ImageModel, dict]:
        # Models that differ in their prompts alone share the weights: every prompt takes as long.
        key = self._manifests[name], self._precisions.get(name, "float32"), self._negative_prompts.get(name)
        if key not in self._models:
            prompts = read_prompts(self._prompts[name]) if name in self._prompts else None
            checkpoint, manifest = open_checkpoint(key[0])
            self._models[key] = load_model(checkpoint, self._device, key[1], prompts, key[2]), manifest
        return self._models[key]


def measure_variants(
    names: Sequence[str],
    repeats: int,
    device: torch.device,
    make: Callable[[Execution], Variants],
    execution: Execution,
    on_run: Callable[[str], None] = lambda name: None,
) -> tuple[dict[str, Timing], str]:
    """Time variants, all in one mode: where "auto" cannot replay one of them, with one line, none is.

    Args:
        names: of the variants.
        repeats: see `measure`.
        device: where they run.
        make: loads what they are of, to run like that.
        execution: how they are to run.
        on_run: called with the variant's name after each run.

    Returns:
        What `measure` found, and the mode.

    Raises:
        DeepCacheError: as from `Variants.trajectory`, or where what is wanted cannot be recorded.
    """
    known = make(execution)
    try:
        found = measure({name: known.trajectory(name) for name in names}, repeats, device, on_run)
        return found, known.mode
    except (RecordingError, torch.OutOfMemoryError) as error:
        if execution.graph != "auto":
            raise
        print(f"{reason(error)}: all variants run as they are", file=sys.stderr)
    del known  # with its graphs
    return measure_variants(names, repeats, device, make, replace(execution, graph=False), on_run)


def timed_values(found: Mapping[str, Timing], batch_size: int) -> dict[str, dict]:
    """What was measured of each variant, as plain values: `throughput` in images/s, `seconds`, `spread`."""
    return {
        variant: {
            "throughput": batch_size / one.median,
            "seconds": [round(value, 6) for value in one.seconds],
            "spread": one.spread,
        }
        for variant, one in found.items()
    }
