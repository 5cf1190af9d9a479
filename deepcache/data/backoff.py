"""Trying again what fails in passing, with longer and longer waits between the attempts."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from deepcache.errors import DeepCacheError


@dataclass(frozen=True)
class Backoff:
    """How often to try and how long to wait in between.

    Args:
        attempts: tries in a row that bring a download no further, before giving up.
        first: seconds before the second try; each further wait is twice as long.
        longest: the most seconds between two tries.
        patience: the most seconds to wait because the server asks for it (Retry-After); if it asks for more, give up.
        sleep: does the waiting, given the seconds.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0
    patience: float = 600.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, name: str, reason: str, failures: int, asked: float | None = None) -> None:
        """Say what failed and wait, or give up.

        Args:
            name: what is being downloaded, for the message.
            reason: why the last try failed.
            failures: how many tries in a row have failed.
            asked: seconds that the server asks to wait.

        Raises:
            DeepCacheError: after the last attempt, or if the server asks for too long a wait.
        """
        if failures >= self.attempts:
            raise DeepCacheError(f"{name}: {reason}; gave up after {failures} attempts: try again later")
        seconds = min(self.longest, self.first * 2 ** (failures - 1)) if asked is None else asked
        if seconds > self.patience:
            raise DeepCacheError(f"{name}: {reason}; the server asks to wait {seconds:.0f} s: try again after that")
        print(f"{name}: {reason}; attempt {failures + 1} of {self.attempts} in {seconds:g} s", file=sys.stderr)
        self.sleep(seconds)


BACKOFF = Backoff()


class Transient(Exception):
    """An attempt failed in a way in which the next may not.

    Args:
        reason: for the reader.
        asked: seconds that the server asks to wait.
        advanced: whether the attempt, although it failed, took up the partial file and made it longer.
    """

    def __init__(self, reason: str, asked: float | None = None, advanced: bool = False):
        super().__init__(reason)
        self.asked, self.advanced = asked, advanced


def retry(attempt: Callable[[], None], name: str, backoff: Backoff = BACKOFF) -> None:
    """Try until an attempt succeeds, with what fails in passing raised as `Transient`.

    Args:
        attempt: one try.
        name: what is being downloaded, for messages.
        backoff: how often to try and how long to wait.

    Raises:
        DeepCacheError: after the last attempt.
    """
    failures = 0
    while True:
        try:
            return attempt()
        except Transient as error:
            failures = 1 if error.advanced else failures + 1
            backoff.wait(name, str(error), failures, error.asked)
