"""Which image of a folder belongs to which prompt, or to which image of another folder: by the numbers in the names."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from deepcache.errors import DeepCacheError

NUMBER = re.compile("[0-9]+")


def check_numbered(folder: Path, names: Sequence[str]) -> None:
    """Refuse names that do not tell an order: they must be alike but for a number, as 00000.png, 00001.png, ...

    Args:
        folder: of the images.
        names: theirs.

    Raises:
        DeepCacheError: if they differ in more, or in nothing that is a number.
    """
    kinds = {NUMBER.sub("#", _stem(name)) for name in names}
    numbers = {tuple(map(int, NUMBER.findall(name))) for name in map(_stem, names)}
    if len(kinds) > 1 or len(numbers) < len(names) or (len(names) > 1 and "#" not in next(iter(kinds))):
        shown = ", ".join(sorted(names)[:3])
        raise DeepCacheError(
            f"{folder}: the names ({shown}, ...) do not tell the order: number them, 0000.png and so on"
        )


def check_paired(first: Path, names: Sequence[str], second: Path, others: Sequence[str]) -> None:
    """Refuse two folders whose images cannot be paired by name: alike but for their endings, or both numbered.

    Args:
        first: a folder.
        names: of its images, in their natural order.
        second: another one.
        others: as many, likewise.

    Raises:
        DeepCacheError: if the names are others and do not tell the order.
    """
    if list(map(_stem, names)) != list(map(_stem, others)):
        check_numbered(first, names)
        check_numbered(second, others)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
