"""What is said of a digit: captions to train the text-to-image models with, and the prompts of the digits suite."""

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# {a} is "an" before "eight". The first five phrasings make the one file of prompts, the others the other.
PHRASINGS = (
    "a handwritten {digit}",
    "the digit {digit}",
    "the number {digit}, written by hand",
    "{a} {digit} in white on black",
    "{digit}",
    "a picture of the digit {digit}",
    "somebody wrote {a} {digit}",
    "{a} {digit} drawn with a pen",
    "the figure {digit} in large",
    "this is {a} {digit}",
)
PROMPT_FILES = {"digits.txt": PHRASINGS[:5], "digits-captions.txt": PHRASINGS[5:]}  # below resources/prompts


def caption(label: int, phrasing: str) -> str:
    """A phrasing with a digit in it."""
    return phrasing.format(digit=DIGITS[label], a="an" if label == 8 else "a")


def captions() -> list[list[str]]:
    """Every phrasing of each digit: a list of phrasings for 0, then for 1, ..."""
    return [[caption(label, phrasing) for phrasing in PHRASINGS] for label in range(len(DIGITS))]
