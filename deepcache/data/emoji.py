"""Emoji: small pictures with names, in three styles, as they ship in resources/emoji."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE

FOLDER = Path(__file__).resolve().parents[2] / "resources/emoji"
PICTURES, HELD_OUT = "pictures.npz", "held_out.txt"
STYLES = ("fluent", "noto", "twemoji")
SIDE = 32


@dataclass(frozen=True)
class Emoji:
    """Pictures with what they show.

    Attributes:
        images: uint8, shape (N, 32, 32, 3), on white.
        names: such as `red apple`, shape (N,).
        styles: of STYLES, shape (N,).
    """

    images: np.ndarray
    names: np.ndarray
    styles: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    @property
    def prompts(self) -> list[str]:
        """What a model is asked for, such as `a noto emoji of red apple`."""
        return [f"a {style} emoji of {name}" for style, name in zip(self.styles, self.names, strict=True)]


def load_emoji(folder: Path = FOLDER) -> Emoji:
    """All of them, by style and name.

    Raises:
        DeepCacheError: if the file is missing or damaged.
    """
    path = folder / PICTURES
    try:
        with np.load(path, allow_pickle=False) as file:
            return Emoji(file["arr_0"], file["names"], file["styles"])
    except UNREADABLE as error:
        raise DeepCacheError(f"{path}: cannot be read as emoji ({error}): get it again") from error


def held_out_names(folder: Path = FOLDER) -> list[str]:
    """Names that no model is trained on, in any style: prompts that ask for what it has not seen.

    Raises:
        DeepCacheError: if the file is missing.
    """
    path = folder / HELD_OUT
    try:
        return path.read_text(encoding="utf-8").split("\n")[:-1]
    except UNREADABLE as error:
        raise DeepCacheError(f"{path}: cannot be read ({error}): get it again") from error
