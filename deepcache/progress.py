"""Progress bars that read well both on a terminal and in a log file."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(items: Iterable, description: str, *, unit: str, total: int | None = None, initial: int = 0) -> tqdm:
    """Wrap `items` in a bar with rate and time left; where the output is no terminal, at most a line in ten seconds."""
    interval = 0.1 if sys.stderr.isatty() else 10
    return tqdm(items, description, total=total, initial=initial, unit=unit, mininterval=interval, dynamic_ncols=True)
