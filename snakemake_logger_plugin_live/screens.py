"""Where the view is shown: in place on a terminal, a line a minute elsewhere."""

import threading
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live

MINUTE = 60


class LiveScreen:
    """The view at the bottom of a terminal, drawn anew twice a second, gone when it stops."""

    def __init__(self, console: Console, draw: Callable[[], RenderableType]):
        self._live = Live(console=console, get_renderable=draw, refresh_per_second=2, transient=True)
        self._live.start()

    def stop(self) -> None:
        """Wipe the view away."""
        self._live.stop()


class PlainScreen:
    """A line a minute."""

    def __init__(self, console: Console, draw: Callable[[], str], interval: float = MINUTE):
        self._console = console
        self._draw = draw
        self._interval = interval
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self._console.print(self._draw(), soft_wrap=True, markup=False, highlight=False)

    def stop(self) -> None:
        """Say no more."""
        self._stopped.set()
        self._thread.join()
