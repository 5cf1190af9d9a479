"""The feature of the last full step as it is: the paper's method (Section 3.2)."""

from dataclasses import dataclass

from deepcache.methods.reuse import NamedReuse


@dataclass(frozen=True)
class HeldFeature(NamedReuse):
    """What a method reuses where its name does not say otherwise."""

    name = "hold"

    def make(self):  # noqa: D102
        from deepcache.caching.reuse import Hold

        return Hold()
