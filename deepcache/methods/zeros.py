"""Zeros instead of the feature: the paper's control experiment (Table 5)."""

from dataclasses import dataclass

from deepcache.methods.reuse import NamedReuse


@dataclass(frozen=True)
class ZeroFeature(NamedReuse):
    """See deepcache.caching.reuse.Zeros."""

    name = "zeros"

    def make(self):  # noqa: D102
        from deepcache.caching.reuse import Zeros

        return Zeros()
