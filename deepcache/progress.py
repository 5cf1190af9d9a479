"""Progress bars that read well both on a terminal and in a log file."""

import sys
from collections.abc import Iterable
from typing import TextIO

from tqdm import tqdm

LOG_INTERVAL = 10  # seconds between two lines where the output is no terminal


class _Lines:
    """A text stream in which each state of a bar is a line of its own, instead of overwriting the one before."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> None:
        text = text.strip("\r\n ")
        if text:
            self._stream.write(text + "\n")

    def flush(self) -> None:
        self._stream.flush()


def progress(items: Iterable, description: str, *, unit: str, total: int | None = None) -> tqdm:
    """Wrap `items` in a bar with rate and time left, on stderr; where that is no terminal, a line in ten seconds."""
    options = {"total": total, "unit": unit}
    if sys.stderr.isatty():
        return tqdm(items, description, file=sys.stderr, dynamic_ncols=True, **options)
    lines = _Lines(sys.stderr)
    return tqdm(
        items, description, file=lines, mininterval=LOG_INTERVAL, maxinterval=LOG_INTERVAL, ncols=100, **options
    )
