"""Which samplers each family of models has: told from a checkpoint before anything is loaded."""

from dataclasses import dataclass
from typing import Literal

from deepcache.errors import DeepCacheError
from deepcache.sampler import NAMES, TRAINED, Sampler


@dataclass(frozen=True)
class Family:
    """Models that are sampled in one way.

    Attributes:
        words: what such a model is called in a message.
        samplers: names of the samplers that it has.
        quadratic: those of them that can have quadratic spacing.
        guided: whether it can be guided.
        prompts: what its images are made from, one each; None: from noise alone, or a class.
        offset: what DDIM's timesteps are raised by, as in the original's code.
    """

    words: str
    samplers: tuple[str, ...]
    quadratic: tuple[str, ...] = ()
    guided: bool = True
    prompts: Literal["texts", "pictures"] | None = None
    offset: int = 0

    @property
    def prompted(self) -> bool:
        """Whether its images are made from prompts: such models run in diffusers' pipelines."""
        return self.prompts is not None

    def check(self, sampler: Sampler) -> None:
        """Raise a DeepCacheError, which says what the family has, unless it can be sampled so."""
        known = sampler.name in self.samplers
        spaced = sampler.spacing == "uniform" or sampler.name in self.quadratic
        if not (known and spaced and (self.guided or sampler.guidance_scale == 1)):
            raise DeepCacheError(f"sampler {sampler.slug}: {self.words} has {self._has()}")
        if self.prompted:
            return
        if sampler.name == "dpmpp" and sampler.steps == TRAINED:  # two of its timesteps would coincide
            raise DeepCacheError(f"steps of dpmpp must be between 1 and {TRAINED - 1}, not {sampler.steps}")
        if sampler.name == "ddim" and range(0, TRAINED, TRAINED // sampler.steps)[-1] + self.offset >= TRAINED:
            raise DeepCacheError(
                f"sampler {sampler.slug}: its first timestep would lie beyond the training's: choose another number"
            )

    def _has(self) -> str:
        """The samplers in words."""
        slugs = [f"{name}-<steps>{end}" for name in self.samplers for end in self._spacings(name)]
        named = " and ".join(filter(None, (", ".join(slugs[:-1]), slugs[-1])))
        return f"{named} only" + ("" if self.guided else ", without guidance")

    def _spacings(self, name: str) -> tuple[str, ...]:
        return ("", "-quad") if name in self.quadratic else ("",)


PIXEL = Family("an unconditional model", ("ddim", "dpmpp"), quadratic=("ddim",), guided=False)
LATENT_CLASS = Family("a class-conditional latent model", ("ddim", "dpmpp"), offset=1)
TEXT_TO_IMAGE = Family("Stable Diffusion", NAMES, prompts="texts")
IMAGE_TO_VIDEO = Family("Stable Video Diffusion", ("euler",), prompts="pictures")

# By the pipeline class in a checkpoint's model_index.json.
PIPELINES = {
    "DDPMPipeline": PIXEL,
    "DDIMPipeline": PIXEL,
    "LDMClassPipeline": LATENT_CLASS,
    "StableDiffusionPipeline": TEXT_TO_IMAGE,
    "StableDiffusionXLPipeline": TEXT_TO_IMAGE,
    "StableVideoDiffusionPipeline": IMAGE_TO_VIDEO,
}
# By the name of an architecture, see deepcache.models.paper and deepcache.models.random_weights.
ARCHITECTURES = {
    **dict.fromkeys(("ddpm-cifar10", "ddpm-lsun-bedroom", "ddpm-lsun-churches"), PIXEL),
    "ldm4g-imagenet": LATENT_CLASS,
    **dict.fromkeys(
        ("sd-v1-5", "bk-sdm-base", "bk-sdm-small", "bk-sdm-tiny", "emoji-sd", "emoji-bk-sdm", "sdxl", "sdxl-tiny"),
        TEXT_TO_IMAGE,
    ),
    **dict.fromkeys(("svd", "svd-tiny"), IMAGE_TO_VIDEO),
}
MEASURING = ("inception", "clip-vit-b-32", "lpips-alexnet")  # they make no images
# By what a checkpoint is converted from.
CONVERTED = {"ldm": LATENT_CLASS, "ddpm": PIXEL}
# What can be trained, by the recipe's name; None: it makes no images.
RECIPES = {
    "digits-ddpm": PIXEL,
    "digits-ldm": LATENT_CLASS,
    "digits-sd": TEXT_TO_IMAGE,
    "digits-bk-sdm": TEXT_TO_IMAGE,
    "digits-classifier": None,
    "digits-clip": None,
    "emoji-sd": TEXT_TO_IMAGE,
    "emoji-bk-sdm": TEXT_TO_IMAGE,
    "emoji-clip": None,
}
# Of these, the students, and the shipped model that each learns from.
TEACHERS = {"digits-bk-sdm": "digits-sd", "emoji-bk-sdm": "emoji-sd"}
