"""Speed-up, as every table and picture has it."""

import statistics
from collections.abc import Sequence


def speed_ups(uncached: Sequence[float], cached: Sequence[float]) -> list[float]:
    """Times faster in each repetition.

    Args:
        uncached: seconds of each repetition of what is compared with.
        cached: seconds of the same, interleaved repetitions, as many.
    """
    return [slow / fast for slow, fast in zip(uncached, cached, strict=True)]


def speed_up(uncached: Sequence[float], cached: Sequence[float]) -> float:
    """Times faster: the median over the repetitions of the ratio within each; see `speed_ups`."""
    return statistics.median(speed_ups(uncached, cached))
