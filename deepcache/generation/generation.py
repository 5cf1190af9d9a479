"""Making the images of a request: text-to-image, image-to-image and inpainting."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from diffusers import DiffusionPipeline
from PIL import Image

from deepcache.caching.schedulers import RUNGE_KUTTA, make_scheduler
from deepcache.data.generated import prompts_digest
from deepcache.data.pictures import read_picture
from deepcache.errors import DeepCacheError
from deepcache.files import sha256
from deepcache.generation.request import Request
from deepcache.sampler import ANCESTRAL
from deepcache.sampling.model import step_callback
from deepcache.sampling.noise import NoiseInFloat32, image_generator


class Generation:
    """A request to a pipeline.

    Args:
        pipeline: as `load_pipeline` returns it; its scheduler is replaced.
        request: what to make.

    Attributes:
        height: of the images, in pixels.
        width: likewise.
        unet_calls: how often the U-Net runs in a trajectory.
        steps: over how many a schedule is laid out: those that really run. PLMS repeats one, which does not count: the
            released code of the paper and sample.py lay their schedules out in the same way.

    Raises:
        DeepCacheError: if the pipeline cannot make images of that size, in that many steps or at that strength.
    """

    def __init__(self, pipeline: DiffusionPipeline, request: Request):
        pipeline.scheduler = make_scheduler(request.sampler, pipeline.scheduler.config, pipeline)
        self._pipeline, self._request = pipeline, request
        self.height, self.width = _image_size(pipeline, request)
        self.unet_calls = _count_calls(pipeline, request)
        self.steps = self.unet_calls - (request.sampler == "plms")

    def sample(self, indices: Sequence[int], on_step: Callable[[int], None] = lambda step: None) -> np.ndarray:
        """Make images, uint8, shape (len(indices), H, W, 3); image j depends on (seed, j) alone, but for rounding.

        `on_step` is called after each step.

        Raises:
            DeepCacheError: if a file cannot be read any more, or an image has no finite values.
        """
        request = self._request
        prompts = [request.prompt_of(index) for index in indices]
        options = {}
        if request.task != "image-to-image":  # which takes the size of the image
            options = {"height": self.height, "width": self.width}
        if request.images is not None:
            options |= {"image": self._pictures(request.images, prompts), "strength": request.strength}
        if request.masks is not None:
            options |= {"mask_image": self._pictures(request.masks, prompts, "L")}
        negative = None if request.negative_prompt is None else [request.negative_prompt] * len(prompts)
        with ExitStack() as noise:
            noise.enter_context(NoiseInFloat32())

            def after_step(step: int) -> None:
                if request.sampler not in ANCESTRAL:
                    noise.close()  # all is drawn before the first step; a mode costs time at every call of torch
                on_step(step)

            images = self._pipeline(
                [request.prompts[prompt] for prompt in prompts],
                negative_prompt=negative,
                guidance_scale=request.guidance_scale,
                num_inference_steps=request.steps,
                generator=[image_generator(request.seed, index) for index in indices],
                output_type="np",
                callback_on_step_end=step_callback(after_step),
                **options,
            ).images
        for index, image in zip(indices, images, strict=True):
            if not np.isfinite(image).all():
                raise DeepCacheError(f"image {index} has no finite values: take a wider precision")
        return np.round(images * 255).astype(np.uint8)

    def _pictures(self, files: list[Path], prompts: list[int], mode: str = "RGB") -> list[Image.Image]:
        wanted = [files[prompt if len(files) > 1 else 0] for prompt in prompts]
        size = (self.width, self.height)
        return [read_picture(path).convert(mode).resize(size, Image.Resampling.LANCZOS) for path in wanted]

    def settings(self) -> dict:
        """What decides the images, besides the checkpoint, its precision and caching; files by their SHA-256."""
        request = self._request
        return {
            "task": request.task,
            "prompts": prompts_digest(request.prompts),
            "images": request.images and [sha256(path) for path in request.images],
            "masks": request.masks and [sha256(path) for path in request.masks],
            "sampler": request.sampler,
            "steps": request.steps,
            "strength": request.strength,
            "guidance_scale": request.guidance_scale,
            "negative_prompt": request.negative_prompt,
            "height": self.height,
            "width": self.width,
            "num_images": request.num_images,
            "seed": request.seed,
        }


def _image_size(pipeline: DiffusionPipeline, request: Request) -> tuple[int, int]:
    """Height and width in pixels."""
    side = pipeline.unet.config.sample_size
    defaults = [number * pipeline.vae_scale_factor for number in ((side, side) if isinstance(side, int) else side)]
    # diffusers' text-to-image asks for a multiple of 8 whatever the first stage is.
    unit = math.lcm(8, pipeline.vae_scale_factor)
    sizes = {}
    for name, given, default in zip(("height", "width"), (request.height, request.width), defaults, strict=True):
        sizes[name] = default if given is None else given
        if sizes[name] % unit:
            raise DeepCacheError(f"{name} must be divisible by {unit} for this checkpoint, not {sizes[name]}")
    return sizes["height"], sizes["width"]


def _count_calls(pipeline: DiffusionPipeline, request: Request) -> int:
    """How often the U-Net runs: not always once a step (PLMS, PNDM), and with images only the last steps run."""
    scheduler, trained = pipeline.scheduler, pipeline.scheduler.config.num_train_timesteps
    if not 1 <= request.steps <= trained:
        raise DeepCacheError(f"steps must be between 1 and {trained} (timesteps of training), not {request.steps}")
    if request.sampler == RUNGE_KUTTA and request.steps < scheduler.pndm_order:
        raise DeepCacheError(f"{RUNGE_KUTTA} needs at least {scheduler.pndm_order} steps: use plms, or more")
    scheduler.set_timesteps(request.steps)
    calls = len(scheduler.timesteps)
    if request.strength is None:
        return calls
    timesteps, steps = pipeline.get_timesteps(request.steps, request.strength, "cpu")
    if steps < 1:
        raise DeepCacheError(f"strength {request.strength} leaves none of {request.steps} steps: raise either")
    if request.sampler == RUNGE_KUTTA and len(timesteps) < calls:
        # diffusers' PNDM counts from its first Runge-Kutta step, wherever it is made to begin: the images diverge.
        raise DeepCacheError(f"{RUNGE_KUTTA} cannot begin in the middle of a trajectory: use plms, or strength 1")
    return len(timesteps)
