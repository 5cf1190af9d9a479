"""Making the images of a request: text-to-image, image-to-image and inpainting."""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
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
from deepcache.models.input_size import height_and_width
from deepcache.sampler import ANCESTRAL
from deepcache.sampling.model import step_callback
from deepcache.sampling.noise import NoiseInFloat32, image_generator


@dataclass(frozen=True)
class Stage:
    """What one pipeline's U-Net runs of a trajectory.

    Attributes:
        pipeline: whose it is.
        unet_calls: how often it runs.
        steps: over how many a schedule is laid out: those that really run. PLMS repeats one, which does not count: the
            released code of the paper and sample.py lay their schedules out in the same way.
        name: in messages and in the record; None for the first.
    """

    pipeline: DiffusionPipeline
    unet_calls: int
    steps: int
    name: str | None = None


class Generation:
    """A request to a pipeline.

    Args:
        pipeline: as `load_pipeline` returns it; its scheduler is replaced.
        request: what to make.

    Attributes:
        height: of the images, in pixels.
        width: likewise.
        stages: what runs one after another, each with a U-Net of its own.

    Raises:
        DeepCacheError: if the pipeline cannot make images of that size, in that many steps or at that strength.
    """

    makes = "image"

    def __init__(self, pipeline: DiffusionPipeline, request: Request):
        pipeline.scheduler = make_scheduler(request.sampler, pipeline.scheduler.config, pipeline)
        self._pipeline, self._request = pipeline, request
        self.height, self.width = self._size()
        calls = _count_calls(pipeline, request)
        self.stages: tuple[Stage, ...] = (Stage(pipeline, calls, calls - (request.sampler == "plms")),)

    @property
    def unet_calls(self) -> int:
        """How often U-Nets run in a trajectory."""
        return sum(stage.unet_calls for stage in self.stages)

    @property
    def fps(self) -> int | None:
        """Frames a second; None where images are made."""
        return None

    def sample(self, indices: Sequence[int], on_step: Callable[[int], None] = lambda step: None) -> np.ndarray:
        """Make images, uint8, shape (len(indices), H, W, 3); image j depends on (seed, j) alone, but for rounding.

        Of videos the shape is (len(indices), frames, H, W, 3). `on_step` is called after each step.

        Raises:
            DeepCacheError: if a file cannot be read any more, or an image has no finite values.
        """
        request = self._request
        with ExitStack() as noise:
            noise.enter_context(NoiseInFloat32())

            def after_step(step: int) -> None:
                if request.sampler not in ANCESTRAL:
                    noise.close()  # all is drawn before the first step; a mode costs time at every call of torch
                on_step(step)

            made = self._run(
                [request.prompt_of(index) for index in indices],
                num_inference_steps=request.steps,
                generator=[image_generator(request.seed, index) for index in indices],
                callback_on_step_end=step_callback(after_step),
            )
        for index, one in zip(indices, made, strict=True):
            if not np.isfinite(one).all():
                raise DeepCacheError(f"{self.makes} {index} has no finite values: take a wider precision")
        return np.round(made * 255).astype(np.uint8)

    def _run(self, prompts: list[int], **call) -> np.ndarray:
        """Images of the prompts with these indices, from 0 to 1, shape (B, H, W, 3); `call`: for the pipeline."""
        request, options = self._request, {}
        if request.task != "image-to-image":  # which takes the size of the image
            options = {"height": self.height, "width": self.width}
        if request.images is not None:
            options |= {"image": self._pictures(request.images, prompts), "strength": request.strength}
        if request.masks is not None:
            options |= {"mask_image": self._pictures(request.masks, prompts, "L")}
        return self._pipeline(**self._words(prompts), **options, **call, output_type="np").images

    def _words(self, prompts: list[int]) -> dict:
        """What a pipeline that paints from prompts is told of them."""
        request = self._request
        return {
            "prompt": [request.prompts[prompt] for prompt in prompts],
            "negative_prompt": None if request.negative_prompt is None else [request.negative_prompt] * len(prompts),
            "guidance_scale": request.guidance_scale,
        }

    def _pictures(self, files: list[Path], prompts: list[int], mode: str = "RGB") -> list[Image.Image]:
        wanted = [files[prompt if len(files) > 1 else 0] for prompt in prompts]
        return [self._fitted(read_picture(path).convert(mode)) for path in wanted]

    def _fitted(self, picture: Image.Image) -> Image.Image:
        return picture.resize((self.width, self.height), Image.Resampling.LANCZOS)

    def settings(self) -> dict:
        """What decides the images, besides the checkpoint, its precision and caching; files by their SHA-256."""
        request = self._request
        return {
            "task": request.task,
            "prompts": request.prompts and prompts_digest(request.prompts),
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

    def _default_size(self) -> tuple[int, int]:
        """Height and width in pixels where they are not given."""
        height, width = height_and_width(self._pipeline.unet.config)
        return height * self._pipeline.vae_scale_factor, width * self._pipeline.vae_scale_factor

    def _unit(self) -> int:
        """Height and width are multiples of it."""
        # diffusers' text-to-image asks for a multiple of 8 whatever the first stage is.
        return math.lcm(8, self._pipeline.vae_scale_factor)

    def _size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        given, unit = (self._request.height, self._request.width), self._unit()
        found = [default if one is None else one for one, default in zip(given, self._default_size(), strict=True)]
        for name, value in zip(("height", "width"), found, strict=True):
            if value % unit:
                raise DeepCacheError(f"{name} must be divisible by {unit} for this checkpoint, not {value}")
        return found[0], found[1]


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
