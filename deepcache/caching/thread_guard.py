"""One U-Net, one thread: two cannot share what is cached."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from deepcache.errors import DeepCacheError


class ThreadGuard:
    """Refuses a thread's calls in the middle of another's trajectory."""

    def __init__(self):
        self._trajectory_of: int | None = None  # the thread whose trajectory was begun
        self._call_of: int | None = None  # the thread whose call runs

    def release(self) -> None:
        """The next trajectory may be any thread's."""
        self._trajectory_of = None

    @contextmanager
    def call(self, begins: bool) -> Iterator[None]:
        """Around each call of the U-Net.

        Args:
            begins: whether it begins a trajectory, which any thread may do between two calls.

        Raises:
            DeepCacheError: if the call or the trajectory that is begun is another thread's.
        """
        me = threading.get_ident()
        if self._call_of not in (None, me) or (self._trajectory_of not in (None, me) and not begins):
            raise DeepCacheError(
                "this U-Net is in the middle of another thread's trajectory: give each thread a U-Net of its own, or "
                "call the cache's start_trajectory once the other one has ended"
            )
        outer, self._call_of, self._trajectory_of = self._call_of, me, me
        try:
            yield
        finally:
            self._call_of = outer
