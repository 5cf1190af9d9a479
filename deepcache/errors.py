"""The exceptions that mean "the input is at fault", and what a library says of a damaged file."""

import re

COLOURS = "\x1b\\[[0-9;]*m"  # of a terminal
LONGEST = 200  # characters of a library's message: some list all that they miss


class DeepCacheError(ValueError):
    """Bad input from the user: a config key, a file, an argument or a model.

    The message is one line that names the key or the file and says what to do. Command-line programs print it without
    a traceback and exit with status 1.
    """


class KeyedError(DeepCacheError):
    """Bad input under a key: of a config, or an option of a program.

    Attributes:
        key: its name.
        problem: what is wrong with it, and what to do.
    """

    def __init__(self, key: str, problem: str):
        super().__init__(f"{key}: {problem}")
        self.key, self.problem = key, problem


def reason(error: BaseException | str, longest: int = LONGEST) -> str:
    """The error's message in one line, cut where it is long; its type where there is no message."""
    text = " ".join(re.sub(COLOURS, "", str(error)).split()) or type(error).__name__
    return text if len(text) <= longest else f"{text[:longest]}..."
