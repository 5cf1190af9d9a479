"""Wall-clock time of sampling, measured so that two methods can be compared."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of each repetition of one variant."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the repetitions, seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """(slowest - fastest) / median."""
        return (max(self.seconds) - min(self.seconds)) / self.median


def measure(
    variants: dict[str, Callable[[], None]],
    repeats: int,
    device: torch.device,
    on_run: Callable[[str], None] = lambda name: None,
    limit: float = math.inf,
) -> dict[str, Timing]:
    """Time variants interleaved: each once as a warm-up, then all in turn, `repeats` times, in alternating order.

    Interleaving spreads slow changes of the machine's speed over all variants alike, alternating what a variant does to
    the next one; the device is synchronised before and after each run.

    Args:
        variants: name -> one complete sampling run.
        repeats: timed repetitions of each.
        device: what the variants run on.
        on_run: called with the variant's name after each run.
        limit: seconds of timed runs after which no repetition begins; there is one at least.

    Returns:
        name -> Timing.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for repetition in range(repeats + 1):
        if repetition > 1 and sum(map(sum, seconds.values())) >= limit:
            break
        for name, run in reversed(variants.items()) if repetition % 2 else variants.items():
            _synchronise(device)
            start = time.perf_counter()
            run()
            _synchronise(device)
            if repetition > 0:
                seconds[name].append(time.perf_counter() - start)
            on_run(name)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
