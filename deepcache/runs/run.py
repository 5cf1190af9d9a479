"""The identity of a run, as a readable path: `digits-ddpm/ddim-100/uniform-n5-b2/seed-0`."""

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from deepcache.decimals import INTEGER
from deepcache.errors import DeepCacheError
from deepcache.methods.method import Method
from deepcache.sampler import Sampler


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
        if len(parts) != 4 or not re.fullmatch(f"seed-{INTEGER}", parts[3]):
            raise DeepCacheError(f"a run looks like digits-ddpm/ddim-100/uniform-n5-b2/seed-0, not {str(path)!r}")
        return cls(parts[0], Sampler.parse(parts[1]), Method.parse(parts[2]), int(parts[3].removeprefix("seed-")))
