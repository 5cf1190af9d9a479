"""What an unfinished search has found out, so that the next attempt asks for nothing twice."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcache.quality.partial import Partial


class Kept:
    """Values by name, made once.

    Args:
        partial: where they are kept meanwhile; None: in memory alone.
    """

    def __init__(self, partial: Partial | None = None):
        self._partial = partial
        self._state: dict[str, np.ndarray] = (partial and partial.load()) or {}

    def array(self, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """An array."""
        if name not in self._state:
            self.set(name, make())
        return self._state[name]

    def value(self, name: str, make: Callable[[], Any]) -> Any:
        """What JSON can hold."""
        return json.loads(str(self.array(name, lambda: np.array(json.dumps(make())))))

    def get(self, name: str) -> np.ndarray | None:
        """An array, or None."""
        return self._state.get(name)

    def set(self, name: str, array: np.ndarray) -> None:
        """Keep an array, in place of what was there."""
        self._state[name] = array
        if self._partial and self._partial.due():
            self._partial.save(self._state)
