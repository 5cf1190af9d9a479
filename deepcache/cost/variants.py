"""What a timing job times: whole trajectories of model/sampler/method, each model loaded once."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from deepcache.cost.timing import Timing
from deepcache.data.manifests import read_prompts
from deepcache.errors import DeepCacheError
from deepcache.methods.method import Method
from deepcache.methods.schedule import Place
from deepcache.models.checkpoints import open_checkpoint
from deepcache.runs.sampler import Sampler
from deepcache.sampling.families import load_model
from deepcache.sampling.model import ImageModel


class Variants:
    """Trajectories by `model/sampler/method`.

    Args:
        manifests: of the models' checkpoints, by model.
        precisions: by model; float32 where there is none.
        prompts: manifests of what text-to-image models paint, by model.
        plans: files of plans, by variant.
        batch_size: images in a trajectory.
        device: where they run.
    """

    def __init__(
        self,
        manifests: Mapping[str, Path],
        precisions: Mapping[str, str],
        prompts: Mapping[str, Path],
        plans: Mapping[str, Path],
        batch_size: int,
        device: torch.device,
    ):
        self._manifests, self._precisions, self._prompts, self._plans = manifests, precisions, prompts, plans
        self._batch_size, self._device = batch_size, device
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

        def run() -> None:
            with caching.applied(model.unet):
                model.sample(range(self._batch_size), 0, sampler)

        return run

    def _load(self, name: str) -> tuple[ImageModel, dict]:
        # Models that differ in their prompts alone share the weights: every prompt takes as long.
        key = self._manifests[name], self._precisions.get(name, "float32")
        if key not in self._models:
            texts = read_prompts(self._prompts[name]) if name in self._prompts else None
            checkpoint, manifest = open_checkpoint(key[0])
            self._models[key] = load_model(checkpoint, self._device, key[1], texts), manifest
        return self._models[key]


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
