"""Numbers as they stand in names of folders: one text for each number, and one number for each text."""

from decimal import Decimal

# Without leading zeros, signs, exponents, and zeros at the end of the fraction; before and behind the point no more
# digits stand than 2^63 has.
POSITIVE = "[1-9][0-9]{0,18}"
INTEGER = f"(?:0|{POSITIVE})"
DECIMAL = rf"{INTEGER}(?:\.[0-9]{{0,18}}[1-9])?"


def plain(value: float) -> str:
    """The shortest decimal text that reads back as this finite number: 7.5 is `7.5`, 2.0 is `2`, 1e6 is `1000000`."""
    text = format(Decimal(repr(value)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
