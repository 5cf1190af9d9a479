"""Emoji: small pictures with names, in three styles, as they ship in resources/emoji."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE

FOLDER = Path(__file__).resolve().parents[2] / "resources/emoji"
PICTURES, HELD_OUT = "pictures.npz", "held_out.txt"
PROMPTS = 200  # in each file of the suite's
STYLES = ("fluent", "noto", "twemoji")
SIDE = 32
MODEL_STYLE = "noto"  # of emoji-sd; three would take thrice the time to train


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

    def where(self, wanted: np.ndarray) -> "Emoji":
        """Those of which `wanted`, bool, shape (N,), is true."""
        return Emoji(self.images[wanted], self.names[wanted], self.styles[wanted])


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


def seen_and_unseen(folder: Path = FOLDER) -> tuple[Emoji, Emoji]:
    """The emoji of one style that emoji-sd is trained on, and those of that style whose names are held out.

    Raises:
        DeepCacheError: as from `load_emoji` and `held_out_names`.
    """
    emoji = load_emoji(folder)
    ours, unseen = emoji.styles == MODEL_STYLE, np.isin(emoji.names, held_out_names(folder))
    return emoji.where(ours & ~unseen), emoji.where(ours & unseen)


def prompt_files() -> dict[str, list[str]]:
    """The suite's prompts by file below resources/prompts.

    Those of `emoji.txt` emoji-sd is trained on, those of `emoji-held-out.txt` it is not; plans are made on those of
    `emoji-calibration.txt`, so that no plan is judged on the prompts that it was made on.

    Raises:
        DeepCacheError: as from `seen_and_unseen`.
    """
    seen, unseen = (np.random.default_rng(0).permutation(emoji.prompts).tolist() for emoji in seen_and_unseen())
    return {
        "emoji.txt": seen[:PROMPTS],
        "emoji-held-out.txt": unseen[:PROMPTS],
        "emoji-calibration.txt": seen[PROMPTS : 2 * PROMPTS],
    }


def pictures_of(prompts: list[str], folder: Path = FOLDER) -> np.ndarray:
    """The picture that each prompt asks for, uint8, shape (len(prompts), 32, 32, 3).

    Raises:
        DeepCacheError: if a prompt names none, or as from `load_emoji`.
    """
    emoji = load_emoji(folder)
    row = {prompt: number for number, prompt in enumerate(emoji.prompts)}
    for prompt in prompts:
        if prompt not in row:
            raise DeepCacheError(f"{folder}: has no picture of {prompt!r}: write it as `a noto emoji of owl`")
    return emoji.images[[row[prompt] for prompt in prompts]]
