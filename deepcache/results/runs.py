"""The identity of a run, as a readable path; built and parsed here and nowhere else.

A run is model, sampler, method and seed: `digits-ddpm/ddim-100/uniform-n5-b2/seed-0`. Imports nothing heavy: the
workflow reads it while it builds its graph.
"""

import math
import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from deepcache.caching import schedules
from deepcache.errors import DeepCacheError

NAMES = ("ddim", "plms", "pndm", "dpmpp", "euler", "lms")
# PNDM takes its first three steps by Runge-Kutta, with four calls of the U-Net each, and needs a fourth.
RUNGE_KUTTA_STEPS = 3
RUNGE_KUTTA_CALLS = 4
SPACINGS = ("uniform", "quad")


@dataclass(frozen=True)
class Sampler:
    """A sampler with its number of steps; slugs such as `ddim-100`, `ddim-100-quad`, `plms-50-cfg7.5`.

    Attributes:
        name: `ddim`, `dpmpp` (DPM-Solver++); for Stable Diffusion also `pndm`, `plms` (PNDM without Runge-Kutta
            steps), `euler`, `lms`.
        steps: number of steps, T.
        spacing: how the steps are spread over the training timesteps, `uniform` or `quad` (quadratic).
        guidance_scale: of classifier-free guidance; 1 is none.
    """

    name: str
    steps: int
    spacing: str = "uniform"
    guidance_scale: float = 1.0

    PATTERN = rf"(?:{'|'.join(NAMES)})-[1-9][0-9]*(?:-quad)?(?:-cfg[0-9.]*[0-9])?"

    @property
    def slug(self) -> str:
        """The sampler as a folder name."""
        spacing = "" if self.spacing == "uniform" else f"-{self.spacing}"
        guidance = "" if self.guidance_scale == 1 else f"-cfg{self.guidance_scale:g}"
        return f"{self.name}-{self.steps}{spacing}{guidance}"

    @property
    def schedule_length(self) -> int:
        """Over how many calls of the U-Net a schedule is laid out, and MACs are counted: T, with PNDM T + 9.

        PNDM calls the U-Net four times in each of its first three, Runge-Kutta steps: every call is one of the
        schedule's. PLMS repeats one call, which does not count, as in the paper's released code.
        """
        return self.steps + (RUNGE_KUTTA_STEPS * (RUNGE_KUTTA_CALLS - 1) if self.name == "pndm" else 0)

    @classmethod
    def parse(cls, slug: str) -> "Sampler":
        """The inverse of `slug`; DeepCacheError where it is none."""
        if not re.fullmatch(cls.PATTERN, slug):
            raise DeepCacheError(
                f"sampler must look like ddim-100, ddim-100-quad or plms-50-cfg7.5 (one of {', '.join(NAMES)}), "
                f"not {slug!r}"
            )
        name, steps, *options = slug.split("-")
        if name == "pndm" and int(steps) <= RUNGE_KUTTA_STEPS:
            fewest = RUNGE_KUTTA_STEPS + 1
            raise DeepCacheError(f"sampler {slug}: pndm needs at least {fewest} steps: use plms, or more")
        guidance = [float(option.removeprefix("cfg")) for option in options if option.startswith("cfg")]
        return cls(name, int(steps), "quad" if "quad" in options else "uniform", *guidance)


@dataclass(frozen=True)
class Method:
    """When, where and what: slugs such as `full`, `uniform-n5-b2`, `nonuniform-n10-c15-p1.4-b1-forecast1`.

    Attributes:
        schedule: `full` (no caching), `uniform`, `nonuniform` (Eq. 7), or `chosen`: full steps and weights of the kept
            features stand in a plan (see deepcache.calibration.plan).
        interval: N; the schedule has ceil(T / N) full steps.
        branch: where the U-Net is cut, 0-based.
        center: c of Eq. 7.
        power: p of Eq. 7.
        reuse: `hold`, `zeros` or `forecast1`, `forecast2`, ...
    """

    schedule: str = "full"
    interval: int = 1
    branch: int = 0
    center: int | None = None
    power: float | None = None
    reuse: str = "hold"

    PATTERN = (
        r"full|(?:uniform-n[1-9][0-9]*|nonuniform-n[1-9][0-9]*-c[0-9]+-p[0-9.]+)-b[0-9]+(?:-zeros|-forecast[1-9])?"
        r"|chosen-n[1-9][0-9]*-b[0-9]+"
    )

    @property
    def slug(self) -> str:
        """The method as a folder name."""
        if self.schedule == "full":
            return "full"
        shape = f"-c{self.center}-p{self.power:g}" if self.schedule == "nonuniform" else ""
        reuse = "" if self.reuse == "hold" else f"-{self.reuse}"
        return f"{self.schedule}-n{self.interval}{shape}-b{self.branch}{reuse}"

    @classmethod
    def parse(cls, slug: str) -> "Method":
        """The inverse of `slug`; DeepCacheError where it is none."""
        if not re.fullmatch(cls.PATTERN, slug):
            raise DeepCacheError(
                f"method must look like full, uniform-n5-b2 or nonuniform-n10-c15-p1.4-b1-forecast1, not {slug!r}"
            )
        if slug == "full":
            return cls()
        schedule, *parts = slug.split("-")
        values = {}
        for part in parts:
            if part == "zeros" or part.startswith("forecast"):
                values["reuse"] = part
            else:
                name = {"n": "interval", "b": "branch", "c": "center", "p": "power"}[part[0]]
                values[name] = float(part[1:]) if name == "power" else int(part[1:])
        return cls(schedule, **values)

    def num_full(self, num_steps: int) -> int:
        """How many of `num_steps` (see Sampler.schedule_length) run fully: ceil(T / N).

        Raises:
            DeepCacheError: if the method does not fit so many.
        """
        if self.schedule == "chosen":
            return len(schedules.uniform(num_steps, self.interval))
        return len(self.full_steps(num_steps))

    def full_steps(self, num_steps: int) -> tuple[int, ...]:
        """Steps that run fully of `num_steps` (see Sampler.schedule_length).

        Raises:
            DeepCacheError: if the method does not fit so many, or only a plan knows.
        """
        if self.schedule == "chosen":
            raise DeepCacheError(f"the full steps of {self.slug} stand in a plan: give it with --plan")
        if self.schedule == "full":
            return tuple(range(num_steps))
        if self.schedule == "uniform":
            return schedules.uniform(num_steps, self.interval)
        if not 1 <= self.interval <= num_steps:
            raise DeepCacheError(f"interval must be between 1 and the {num_steps} steps, not {self.interval}")
        return schedules.nonuniform(num_steps, math.ceil(num_steps / self.interval), self.center, self.power)


@dataclass(frozen=True)
class Run:
    """One set of samples."""

    model: str
    sampler: Sampler
    method: Method
    seed: int

    @property
    def path(self) -> PurePosixPath:
        """The run's folder below `results/<suite>`."""
        return PurePosixPath(self.model, self.sampler.slug, self.method.slug, f"seed-{self.seed}")

    @property
    def uncached(self) -> "Run":
        """The same model, sampler and seed without caching."""
        return replace(self, method=Method())

    @classmethod
    def parse(cls, path: str | PurePosixPath) -> "Run":
        """The inverse of `path`, from its last four parts; DeepCacheError where it is none."""
        parts = PurePosixPath(path).parts[-4:]
        if len(parts) != 4 or not re.fullmatch(r"seed-[0-9]+", parts[3]):
            raise DeepCacheError(f"a run looks like digits-ddpm/ddim-100/uniform-n5-b2/seed-0, not {path}")
        return cls(parts[0], Sampler.parse(parts[1]), Method.parse(parts[2]), int(parts[3].removeprefix("seed-")))
