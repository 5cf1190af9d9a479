"""The state of an unfinished computation in a file, so that the next attempt goes on where this one was stopped."""

import json
import sys
import time
from pathlib import Path

import numpy as np

from deepcache.files import UNREADABLE, atomic


class Partial:
    """A file with the state of a computation and a key that says of which.

    Args:
        path: the file.
        key: everything that decides the result, as plain values.
        every: seconds between two times that the state is written.
    """

    def __init__(self, path: Path, key: dict, every: float = 30.0):
        self._path, self._key, self._every = path, json.loads(json.dumps(key)), every
        self._written = time.monotonic()

    @classmethod
    def beside(cls, output: Path, key: dict) -> "Partial":
        """That of a file which is written in the end: `<name>.partial.npz`, every ten seconds."""
        return cls(output.with_name(f"{output.stem}.partial.npz"), key, every=10)

    def load(self) -> dict[str, np.ndarray] | None:
        """The state that an earlier attempt left; None, with a line on stderr, where it belongs to something else."""
        if not self._path.exists():
            return None
        try:
            with np.load(self._path, allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
            key = json.loads(str(state.pop("key")))
            differing = sorted(name for name in {*key, *self._key} if key.get(name) != self._key.get(name))
        except (*UNREADABLE, AttributeError) as error:
            print(f"{self._path}: not readable ({error}): starting anew", file=sys.stderr)
            return None
        if differing:
            print(f"{self._path}: made with another {', '.join(differing)}: starting anew", file=sys.stderr)
            return None
        return state

    def due(self) -> bool:
        """Whether it is time to write the state."""
        return time.monotonic() - self._written >= self._every

    def save(self, state: dict[str, np.ndarray]) -> None:
        """Write the state, whole or not at all."""
        with atomic(self._path) as temporary, temporary.open("wb") as file:
            np.savez(file, key=np.array(json.dumps(self._key)), **state)
        self._written = time.monotonic()

    def discard(self) -> None:
        """Remove the file: the computation is finished."""
        self._path.unlink(missing_ok=True)
