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


def stream_options() -> dict:
    """Where and how often tqdm draws a bar: on stderr; where that is no terminal, as a line in ten seconds."""
    if sys.stderr.isatty():
        return {"file": sys.stderr, "dynamic_ncols": True}
    return {"file": _Lines(sys.stderr), "mininterval": LOG_INTERVAL, "maxinterval": LOG_INTERVAL, "ncols": 100}


def progress(
    items: Iterable | None,
    description: str,
    *,
    unit: str,
    total: int | None = None,
    initial: int = 0,
    unit_scale: bool = False,
) -> tqdm:
    """Wrap `items` in a bar with rate and time left, on stderr; where that is no terminal, a line in ten seconds.

    Args:
        items: what to go through; None for a bar that is moved by hand.
        description: stands before the bar.
        unit: what is counted.
        total: how many there are, where `items` does not know.
        initial: how many were done before.
        unit_scale: write large counts with k, M, G: for bytes.
    """
    counted = {"unit": unit, "total": total, "initial": initial, "unit_scale": unit_scale}
    return tqdm(items, description, **counted, **stream_options())
