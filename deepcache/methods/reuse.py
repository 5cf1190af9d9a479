"""What: a reuse that configs, paths and command lines can name."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepcache.methods.parts import Part

if TYPE_CHECKING:
    from deepcache.caching.reuse import Reuse


@dataclass(frozen=True)
class NamedReuse(Part):
    """What takes the place of the skipped feature, by its name."""

    @abstractmethod
    def make(self) -> "Reuse":
        """What does so, for one cache."""
