"""Whole trajectories to be timed, each with a U-Net of its own on which caching stays enabled."""

from collections.abc import Callable, Mapping

from deepcache.caching.engine import DeepCache
from deepcache.caching.execution import Execution
from deepcache.caching.weighted import Weighted
from deepcache.sampler import Sampler
from deepcache.sampling.model import ImageModel


class Trajectories:
    """What samples a batch.

    Args:
        model: makes the images.
        batch_size: of a batch.
        execution: how passes run.
    """

    def __init__(self, model: ImageModel, batch_size: int, execution: Execution):
        self._model, self._batch_size = model, batch_size
        self._execution = execution.on(model.unet)

    def uncached(self, sampler: Sampler) -> Callable[[], None]:
        """Without caching."""
        if self._execution.eager:
            return lambda: self._sample(self._model, sampler)
        return self._on_twin(sampler, interval=1)

    def cached(
        self,
        sampler: Sampler,
        full_steps: tuple[int, ...],
        branch: int | str,
        weights: Mapping[int, Mapping[int, float]] | None = None,
    ) -> Callable[[], None]:
        """With these full steps; the last one's feature is held where there are no weights."""
        reuse = None if weights is None else Weighted(weights)
        return self._on_twin(sampler, branch=branch, schedule=full_steps, reuse=reuse)

    def _on_twin(self, sampler: Sampler, **caching) -> Callable[[], None]:
        # What is compiled or recorded once serves all repetitions.
        twin = self._model.twin()
        options = {"compile": self._execution.compile, "graph": self._execution.graph}
        cache = DeepCache(twin.unet, **caching, **options).enable()

        def run() -> None:
            cache.start_trajectory()
            self._sample(twin, sampler)

        return run

    def _sample(self, model: ImageModel, sampler: Sampler) -> None:
        model.sample(range(self._batch_size), 0, sampler)
