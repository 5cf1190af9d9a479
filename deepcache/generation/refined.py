"""Making the images of a request with SDXL's base and its refiner, which goes on from the base's latents."""

import numpy as np
from diffusers import DiffusionPipeline

from deepcache.caching.schedulers import make_scheduler
from deepcache.errors import DeepCacheError
from deepcache.generation.generation import Generation, Stage
from deepcache.generation.request import Request


class Refined(Generation):
    """A request to two pipelines, the second of which begins where the first ends.

    Args:
        base: makes images from noise, as `load_pipeline` returns it; its scheduler is replaced.
        refiner: changes images; likewise.
        request: what to make, with a `handover`.

    Raises:
        DeepCacheError: as from `Generation`, or if the handover leaves one of them no step.
    """

    def __init__(self, base: DiffusionPipeline, refiner: DiffusionPipeline, request: Request):
        super().__init__(base, request)
        if refiner.vae_scale_factor != base.vae_scale_factor:
            raise DeepCacheError(
                "--refiner: its first stage makes latents of another size than the base's: give the base's own"
            )
        refiner.scheduler = make_scheduler(request.sampler, refiner.scheduler.config, refiner)
        self._refiner = refiner
        trained = base.scheduler.config.num_train_timesteps
        last = round(trained - request.handover * trained)  # of the base's timesteps, as its pipeline counts
        first_steps = int((base.scheduler.timesteps >= last).sum())
        refiner.scheduler.set_timesteps(request.steps)
        _, steps = refiner.get_timesteps(request.steps, 1.0, "cpu", denoising_start=request.handover)
        for name, count, change in (("base", first_steps, "raise"), ("refiner", steps, "lower")):
            if count < 1:
                raise DeepCacheError(
                    f"handover {request.handover} leaves the {name} none of {request.steps} steps: "
                    f"{change} it, or take more steps"
                )
        self.stages = (Stage(base, first_steps, first_steps), Stage(refiner, steps, steps, "refiner"))

    def _run(self, prompts: list[int], **call) -> np.ndarray:
        """See `Generation`."""
        handover, words = self._request.handover, self._words(prompts)
        size = {"height": self.height, "width": self.width}
        latents = self._pipeline(**words, **size, **call, denoising_end=handover, output_type="latent").images
        return self._refiner(**words, **call, image=latents, denoising_start=handover, output_type="np").images

    def settings(self) -> dict:
        """See `Generation`."""
        return {**super().settings(), "handover": self._request.handover}
