"""Images of any Stable Diffusion checkpoint: text-to-image, image-to-image and inpainting."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoPipelineForImage2Image,
    AutoPipelineForInpainting,
    AutoPipelineForText2Image,
    DiffusionPipeline,
    PNDMScheduler,
    SchedulerMixin,
)
from PIL import Image

from deepcache.data.pictures import check_pictures, read_picture
from deepcache.data.reasons import reason
from deepcache.errors import DeepCacheError
from deepcache.models.checkpoints import WEIGHTS, open_checkpoint
from deepcache.progress import progress
from deepcache.results.files import UNREADABLE, sha256
from deepcache.sampling.model import step_callback
from deepcache.sampling.noise import image_generator
from deepcache.sampling.schedulers import make_scheduler

TASKS = {
    "text-to-image": AutoPipelineForText2Image,
    "image-to-image": AutoPipelineForImage2Image,
    "inpainting": AutoPipelineForInpainting,
}
# What a checkpoint's model_index.json may name; each can be opened for every task.
PIPELINES = tuple(f"StableDiffusion{size}{task}Pipeline" for size in ("", "XL") for task in ("", "Img2Img", "Inpaint"))
RUNGE_KUTTA = "pndm"
# Name on the command line -> name in deepcache.sampling.schedulers.
SCHEDULERS = {"ddim": "ddim", "plms": "plms", "dpm++": "dpmpp", "euler": "euler", "lms": "lms"}
SCHEDULER_NAMES = ("ddim", RUNGE_KUTTA, *(name for name in SCHEDULERS if name != "ddim"))


@dataclass(frozen=True)
class Request:
    """What to make; image j is repetition j % num_images of prompt j // num_images.

    Attributes:
        prompts: none is empty.
        images: files to begin with, one for each prompt or one for all; None is text-to-image.
        masks: files as well, white where the image is repainted; None is no inpainting.
        scheduler: one of SCHEDULER_NAMES.
        steps: of the whole trajectory; with images, the last `strength` of them run.
        strength: share of the noise that an image is given, above 0 and at most 1; None without images.
        guidance_scale: of classifier-free guidance; up to 1 there is none.
        negative_prompt: what guidance leads away from.
        height: in pixels; None is the checkpoint's. Images and masks are resized.
        width: likewise.
        num_images: images for each prompt.
        seed: with j it decides the noise of image j.

    Raises:
        DeepCacheError: if one of them is out of range or does not go with another.
    """

    prompts: Sequence[str]
    images: list[Path] | None = None
    masks: list[Path] | None = None
    scheduler: str = "plms"
    steps: int = 50
    strength: float | None = None
    guidance_scale: float = 7.5
    negative_prompt: str | None = None
    height: int | None = None
    width: int | None = None
    num_images: int = 1
    seed: int = 0

    def __post_init__(self):
        if self.scheduler not in SCHEDULER_NAMES:
            raise DeepCacheError(f"scheduler must be one of {', '.join(SCHEDULER_NAMES)}, not {self.scheduler!r}")
        if self.seed < 0:
            raise DeepCacheError(f"seed must be at least 0, not {self.seed}")
        if self.masks is not None and self.images is None:
            raise DeepCacheError("masks need images, which they belong to: give both, or no masks")
        if self.images is None and self.strength is not None:
            raise DeepCacheError("strength says how much an image is changed: give images, or leave it out")
        if self.images is not None and not (self.strength is not None and 0 < self.strength <= 1):
            raise DeepCacheError(f"strength must be above 0 and at most 1, not {self.strength}")
        if self.negative_prompt is not None and self.guidance_scale <= 1:
            raise DeepCacheError("a negative prompt acts through guidance: give a guidance scale above 1")
        if self.images is not None:
            check_pictures(self.images, self.masks, len(self.prompts))

    def __len__(self) -> int:
        return len(self.prompts) * self.num_images

    @property
    def task(self) -> str:
        """A name in TASKS."""
        if self.images is None:
            return "text-to-image"
        return "image-to-image" if self.masks is None else "inpainting"

    def prompt_of(self, index: int) -> int:
        """Index of the prompt of image `index`."""
        return index // self.num_images


def find_checkpoint(place: str | Path) -> tuple[Path, dict[str, str]]:
    """Return a checkpoint's folder and the SHA-256 of its weights by file name.

    Args:
        place: a folder in diffusers' format, or a checkpoint's manifest.

    Raises:
        DeepCacheError: if it is neither, or none of Stable Diffusion's pipelines.
    """
    place = Path(place)
    if place.is_file():
        folder, manifest = open_checkpoint(place)
        _check_index(folder)
        return folder, manifest["sha256"]
    if not place.is_dir():
        raise DeepCacheError(f"{place}: no such checkpoint: give a folder in diffusers' format, or a manifest")
    _check_index(place)
    files = []
    for part in sorted(path for path in place.iterdir() if path.is_dir()):
        # diffusers prefers safetensors: the same weights may lie beside them in other formats.
        weights = sorted(path for path in part.iterdir() if path.suffix in WEIGHTS and path.is_file())
        files += [path for path in weights if path.suffix == ".safetensors"] or weights
    bar = progress(files, f"checksums of {place.name}", unit="file")
    return place, {path.relative_to(place).as_posix(): sha256(path) for path in bar}


def _check_index(folder: Path) -> None:
    index = folder / "model_index.json"
    try:
        content = json.loads(index.read_text())
        kind, parts = content["_class_name"], list(content)
    except (*UNREADABLE, TypeError) as error:
        raise DeepCacheError(
            f"{index}: cannot be read, so this is no diffusers checkpoint ({reason(error)})"
        ) from error
    if "unet" not in parts:
        raise DeepCacheError(f"{index}: {kind} has no U-Net: DeepCache needs skip connections")
    if kind not in PIPELINES:
        raise DeepCacheError(f"{index}: {kind} is not among the known pipelines ({', '.join(PIPELINES)})")


def load_pipeline(folder: str | Path, task: str, device: str | torch.device, dtype: torch.dtype) -> DiffusionPipeline:
    """Load a checkpoint as the pipeline of a task; the safety checker is as the checkpoint has it.

    Raises:
        DeepCacheError: if diffusers cannot load it, or its U-Net is made for another task.
    """
    try:
        pipeline = TASKS[task].from_pretrained(folder, dtype=dtype, local_files_only=True)
    except Exception as error:  # of many kinds where files are missing or damaged
        raise DeepCacheError(f"{folder}: diffusers cannot load it ({reason(error)})") from error
    latent, wanted = pipeline.vae.config.latent_channels, pipeline.unet.config.in_channels
    # A U-Net made for inpainting takes the mask and the masked image as well.
    if wanted != latent and not (task == "inpainting" and wanted == 2 * latent + 1):
        raise DeepCacheError(f"{folder}: its U-Net takes {wanted} channels, so it is not made for {task}")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def pipeline_scheduler(name: str, config: dict) -> SchedulerMixin:
    """A fresh scheduler with a checkpoint's betas and offsets; `name` is one of SCHEDULER_NAMES."""
    if name == RUNGE_KUTTA:
        return PNDMScheduler.from_config(config, skip_prk_steps=False)
    return make_scheduler(SCHEDULERS[name], config)


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
        pipeline.scheduler = pipeline_scheduler(request.scheduler, pipeline.scheduler.config)
        self._pipeline, self._request = pipeline, request
        self.height, self.width = _image_size(pipeline, request)
        self.unet_calls = _count_calls(pipeline, request)
        self.steps = self.unet_calls - (request.scheduler == "plms")

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
        images = self._pipeline(
            [request.prompts[prompt] for prompt in prompts],
            negative_prompt=negative,
            guidance_scale=request.guidance_scale,
            num_inference_steps=request.steps,
            generator=[image_generator(request.seed, index) for index in indices],
            output_type="np",
            callback_on_step_end=step_callback(on_step),
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
            "prompts": hashlib.sha256(json.dumps(list(request.prompts)).encode()).hexdigest(),
            "images": request.images and [sha256(path) for path in request.images],
            "masks": request.masks and [sha256(path) for path in request.masks],
            "scheduler": request.scheduler,
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
    if request.scheduler == RUNGE_KUTTA and request.steps < scheduler.pndm_order:
        raise DeepCacheError(f"{RUNGE_KUTTA} needs at least {scheduler.pndm_order} steps: use plms, or more")
    scheduler.set_timesteps(request.steps)
    calls = len(scheduler.timesteps)
    if request.strength is None:
        return calls
    timesteps, steps = pipeline.get_timesteps(request.steps, request.strength, "cpu")
    if steps < 1:
        raise DeepCacheError(f"strength {request.strength} leaves none of {request.steps} steps: raise either")
    if request.scheduler == RUNGE_KUTTA and len(timesteps) < calls:
        # diffusers' PNDM counts from its first Runge-Kutta step, wherever it is made to begin: the images diverge.
        raise DeepCacheError(f"{RUNGE_KUTTA} cannot begin in the middle of a trajectory: use plms, or strength 1")
    return len(timesteps)
