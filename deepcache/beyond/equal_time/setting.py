"""A method with how much of it: a model that is faster."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from torch import nn

from deepcache.beyond.tuning.candidate import Candidate
from deepcache.files import short_hash
from deepcache.sampler import Sampler


@dataclass(frozen=True, eq=False)
class Setting:
    """One of the ways that a method may spend a time.

    Attributes:
        words: what is set, for a table.
        sampler: with its number of steps.
        full: passes of the whole U-Net that its MACs make up, in a trajectory; None where they are not counted.
        way: makes a context in which a U-Net runs so; what it yields may have a `start_trajectory`.
        key: tells it from others.
    """

    words: str
    sampler: Sampler
    full: float | None
    way: Callable[[nn.Module], AbstractContextManager[Any]]
    key: str

    def applied(self, unet: nn.Module) -> AbstractContextManager[Any]:
        """A context in which the U-Net runs so."""
        return self.way(unet)

    @property
    def digest(self) -> str:
        """Short name that no other setting has."""
        return short_hash([self.words, self.key])

    @classmethod
    def of(cls, candidate: Candidate, shallow: float) -> "Setting":
        """Of a candidate; `shallow` is the share of a full pass's MACs that a shallow one has."""
        full = len(candidate.full_steps)
        return cls(
            candidate.words,
            candidate.sampler,
            full + (candidate.steps - full) * shallow,
            candidate.applied,
            candidate.digest,
        )
