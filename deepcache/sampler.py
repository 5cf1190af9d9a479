"""A sampler as part of a run's path, such as `ddim-100` or `plms-50-cfg7.5`."""

import re
from dataclasses import dataclass

from deepcache.decimals import DECIMAL, POSITIVE, plain
from deepcache.errors import DeepCacheError

NAMES = ("ddim", "plms", "pndm", "dpmpp", "dpmpp_ays", "unipc", "euler", "euler_a", "lms")
ANCESTRAL = ("euler_a",)  # they draw noise at every step, too
# PNDM takes its first three steps by Runge-Kutta, with four calls of the U-Net each, and needs a fourth.
RUNGE_KUTTA_STEPS = 3
RUNGE_KUTTA_CALLS = 4
TRAINED = 1000  # timesteps of the training, of all models here
GUIDANCE_SCALE = 7.5  # of text-to-image, where nothing else is said
SPACINGS = ("uniform", "quad")
OLD_NAMES = {"dpm++": "dpmpp", "dpmsolver++": "dpmpp"}


def check_name(name: str) -> None:
    """Refuse what is no sampler's name; DeepCacheError names the one that an old spelling has now."""
    if name in OLD_NAMES:
        raise DeepCacheError(f"sampler {name} is called {OLD_NAMES[name]}")
    if name not in NAMES:
        raise DeepCacheError(f"sampler must be one of {', '.join(NAMES)}, not {name!r}")


@dataclass(frozen=True)
class Sampler:
    """A sampler with its number of steps; slugs such as `ddim-100`, `ddim-100-quad`, `plms-50-cfg7.5`.

    Attributes:
        name: `ddim`, `dpmpp` (DPM-Solver++); for Stable Diffusion also `pndm`, `plms` (PNDM without Runge-Kutta
            steps), `dpmpp_ays` (DPM-Solver++ at the timesteps of Align Your Steps), `unipc`, `euler`, `euler_a`
            (ancestral), `lms`.
        steps: number of steps, T.
        spacing: how the steps are spread over the training timesteps, `uniform` or `quad` (quadratic).
        guidance_scale: of classifier-free guidance; 1 is none.
    """

    name: str
    steps: int
    spacing: str = "uniform"
    guidance_scale: float = 1.0

    PATTERN = rf"(?:{'|'.join(NAMES)})-{POSITIVE}(?:-quad)?(?:-cfg{DECIMAL})?"

    @property
    def slug(self) -> str:
        """The sampler as a folder name."""
        spacing = "" if self.spacing == "uniform" else f"-{self.spacing}"
        guidance = "" if self.guidance_scale == 1 else f"-cfg{plain(self.guidance_scale)}"
        return f"{self.name}-{self.steps}{spacing}{guidance}"

    def steps_taken(self, prompted: bool) -> int:
        """How many steps it really takes: T, or more.

        DDIM in the original code, and in CompVis's, takes every (1000 // T)-th timestep, which are more than T where T
        does not divide 1000. diffusers' takes T of them.

        Args:
            prompted: whether the model paints from prompts: these models run in diffusers' pipelines.
        """
        strided = self.name == "ddim" and self.spacing == "uniform" and not prompted
        return len(range(0, TRAINED, max(1, TRAINED // self.steps))) if strided else self.steps

    def schedule_length(self, prompted: bool) -> int:
        """Over how many calls of the U-Net a schedule is laid out, and MACs are counted: the steps, with PNDM 9 more.

        PNDM calls the U-Net four times in each of its first three, Runge-Kutta steps: every call is one of the
        schedule's. PLMS repeats one call, which does not count, as in the paper's released code.

        Args:
            prompted: see `steps_taken`.
        """
        more = RUNGE_KUTTA_STEPS * (RUNGE_KUTTA_CALLS - 1) if self.name == "pndm" else 0
        return self.steps_taken(prompted) + more

    @classmethod
    def parse(cls, slug: str) -> "Sampler":
        """The inverse of `slug`; DeepCacheError where it is none."""
        old = next((name for name in OLD_NAMES if slug.startswith(f"{name}-")), None)
        if old:
            check_name(old)
        if not re.fullmatch(cls.PATTERN, slug):
            raise DeepCacheError(
                f"sampler must look like ddim-100, ddim-100-quad or plms-50-cfg7.5 (one of {', '.join(NAMES)}), "
                f"not {slug!r}"
            )
        name, steps, *options = slug.split("-")
        if name == "pndm" and int(steps) <= RUNGE_KUTTA_STEPS:
            fewest = RUNGE_KUTTA_STEPS + 1
            raise DeepCacheError(f"sampler {slug}: pndm needs at least {fewest} steps: use plms, or more")
        if int(steps) > TRAINED:
            raise DeepCacheError(f"sampler {slug}: at most {TRAINED} steps are possible, the timesteps of the training")
        guidance = [float(option.removeprefix("cfg")) for option in options if option.startswith("cfg")]
        found = cls(name, int(steps), "quad" if "quad" in options else "uniform", *guidance)
        if found.slug != slug:  # or one sampler would have two folders
            raise DeepCacheError(f"sampler {slug}: write {found.slug}")
        return found
