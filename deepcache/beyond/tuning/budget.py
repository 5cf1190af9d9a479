"""What is asked for: a speed-up, seconds or MACs."""

from dataclasses import dataclass

from deepcache.beyond.tuning.candidate import FEWEST_FULL, FEWEST_STEPS, fastest
from deepcache.beyond.tuning.costs import Costs
from deepcache.caching.branches import place_words
from deepcache.errors import DeepCacheError


@dataclass(frozen=True)
class Budget:
    """One of three.

    Attributes:
        speedup: how many times as fast as the usual number of steps without caching.
        seconds: for an image, all told, at the batch that is timed.
        macs: G MACs (1e9) of the U-Net for an image, guidance included.

    Raises:
        DeepCacheError: unless exactly one is given, above 0, a speed-up above 1.
    """

    speedup: float | None = None
    seconds: float | None = None
    macs: float | None = None

    def __post_init__(self):
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            raise DeepCacheError(f"give one of speedup, seconds and macs, not {' and '.join(given) or 'none'}")
        ((name, value),) = given.items()
        if not 0 < value < float("inf"):
            raise DeepCacheError(f"{name} must be a number above 0, not {value}")
        if name == "speedup" and value <= 1:
            raise DeepCacheError(f"speedup must be above 1, not {value}: at 1 nothing is to be gained")

    @property
    def words(self) -> str:
        """Such as `speed-up 3`, `0.5 s an image`."""
        if self.speedup is not None:
            return f"speed-up {self.speedup:g}"
        return f"{self.seconds:g} s an image" if self.macs is None else f"{self.macs:g} G MACs an image"

    def limit(self, costs: Costs, usual_calls: int, batch_size: int) -> float:
        """The cost that may not be exceeded, in the unit of the costs.

        Args:
            costs: of a step, of a batch in seconds or of an image in G MACs.
            usual_calls: of the U-Net in the usual trajectory.
            batch_size: images of a batch.

        Raises:
            DeepCacheError: if it cannot be reached, with what can be.
        """
        usual = costs.uncached(usual_calls)
        limit = self.macs
        if self.speedup is not None:
            limit = usual / self.speedup
        elif self.seconds is not None:
            limit = self.seconds * batch_size
        least, branch = fastest(costs)
        if limit < least:
            if self.speedup is not None:
                bound = f"at most {usual / least:.2g}"
            else:
                bound = f"at least {least if self.seconds is None else least / batch_size:.3g}"
            raise DeepCacheError(
                f"{self.words} cannot be reached: {bound}, with {FEWEST_STEPS} steps, "
                f"{FEWEST_FULL} of them full: {place_words(branch)}"
            )
        return limit
