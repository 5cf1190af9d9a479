"""What a library says of a damaged file, fit for a message of one line."""

LONGEST = 200  # characters: some libraries list all that they miss


def reason(error: BaseException) -> str:
    """The error's message in one line, cut where it is long; its type where there is no message."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
