"""Recording a branch's feature over uncached trajectories, and how the images hang on it."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from deepcache.beyond.calibration.adjoint import Adjoint
from deepcache.beyond.calibration.gram import FeatureGram
from deepcache.beyond.calibration.recorded import Recorded
from deepcache.beyond.calibration.rows import Rows
from deepcache.errors import DeepCacheError
from deepcache.quality.partial import Partial
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel
from deepcache.sampling.noise import image_seed


def record(
    model: ImageModel,
    sampler: Sampler,
    branch: int | str,
    batches: Sequence[Sequence[int]],
    seed: int,
    probes: int = 2,
    partial: Partial | None = None,
    on_call: Callable[[], None] = lambda: None,
) -> Recorded:
    """Sample without caching, and differentiate each image along random directions.

    Args:
        model: makes the images.
        sampler: with which.
        branch: where its U-Net is cut, 0-based, or OUTPUT.
        batches: indices of the images, batch by batch; of a batch, the features of all steps are in memory at once.
        seed: of their noise; apart from the seeds of an evaluation.
        probes: directions for each image; image j's depend on (seed, j) alone.
        partial: keeps what is recorded, batch by batch, until all is; None: nothing is kept.
        on_call: called len(batches) * (1 + probes) * T times in all, at once for what `partial` holds.

    Raises:
        DeepCacheError: if the U-Net has no such branch, is called several times a step, or derivatives overflow.
    """
    calls = model.num_steps(sampler)
    state = (partial and partial.load()) or {}
    done = len(state.get("elements", ()))
    for _ in range(done * (1 + probes) * calls):
        on_call()
    for number, batch in enumerate(batches):
        if number < done:
            continue
        found = _record_batch(model, sampler, branch, batch, seed, probes, on_call)
        if len(found["gram"][0]) != calls:
            raise DeepCacheError(f"the U-Net was called {len(found['gram'][0])} times in {calls} steps: not recorded")
        state = {name: np.concatenate([state[name], value]) if state else value for name, value in found.items()}
        if partial and partial.due():
            partial.save(state)
    rows = Rows(state["products"].astype(np.float64), state["image"], int(state["elements"][0]))
    weight = np.array([len(batch) for batch in batches], dtype=float)
    gram = np.average(state["gram"], axis=0, weights=weight)
    return Recorded(rows, gram, int(weight.sum()), probes, seed)


def _record_batch(model, sampler, branch, batch, seed, probes, on_call) -> dict[str, np.ndarray]:
    """Rows of a batch, probe by probe, the images they are of, the batch's Gram matrix, numbers of an image."""
    adjoint, gram, products = Adjoint(model.unet, branch, on_call), FeatureGram(), []
    with adjoint.differentiable(model.modules()):
        pixels = model.decode(model.make_latents(batch, seed, sampler), rounded=False)
        directions = draw_probes(pixels.shape[1:], batch, seed, probes).to(pixels)
        for number, probe in enumerate(directions):
            products.append(adjoint.products(pixels, probe, keep=number + 1 < probes))
        gram.add(adjoint.features)
    return {
        "products": torch.cat(products).float().numpy(),
        "image": np.tile(np.array(batch), probes),
        "gram": gram.matrix()[None],
        "elements": np.array([pixels[0].numel()]),
    }


def draw_probes(shape: Sequence[int], batch: Sequence[int], seed: int, count: int) -> torch.Tensor:
    """Standard normal numbers, shape (count, len(batch), *shape)."""
    generators = [torch.Generator().manual_seed(image_seed(seed, index, "probe")) for index in batch]
    return torch.stack([torch.randn((count, *shape), generator=generator) for generator in generators], dim=1)
