"""Emoji out of packages of icons: which ones, how they are drawn, what is said of their makers."""

import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from deepcache.data.emoji import HELD_OUT, PICTURES, SIDE, STYLES, Emoji
from deepcache.errors import DeepCacheError
from deepcache.files import UNREADABLE, atomic

PACKAGES = {"fluent": "fluent-emoji-flat", "noto": "noto", "twemoji": "twemoji"}  # of @iconify-json, by style
DRAWN = 128  # pixels a side before they are made smaller, each pixel the mean of those that it covers
HELD = 300  # names
TONE = re.compile(r"-(?:medium-light|medium-dark|light|medium|dark)(?=-|$)")
NOTICE = f"""Emoji at {SIDE}x{SIDE} pixels, drawn on white by workflow/scripts/emoji_pictures.py from these packages:
"""


def chosen_names(icons: Mapping[str, dict]) -> list[str]:
    """Names of the icons that are used: not hidden, and without colours of the skin."""
    shown = {name for name, icon in icons.items() if not icon.get("hidden") and "skin-tone" not in name}
    return sorted(name for name in shown if not _is_toned(name, shown))


def _is_toned(name: str, shown: set[str]) -> bool:
    """police-car-light is none: there is no police-car-medium-dark."""
    plain = TONE.sub("", name)
    return plain != name and {plain, f"{plain}-medium-dark"} <= shown


def render(folder: Path, on_picture: Callable[[], None] = lambda: None) -> tuple[Emoji, str]:
    """Draw them.

    Args:
        folder: with the unpacked packages, each in a folder of its name, as `noto/icons.json`.
        on_picture: called after each one.

    Returns:
        emoji: by style and name.
        notice: of whom they are, and under which licences.

    Raises:
        DeepCacheError: if a package is missing or damaged, or resvg-py is not installed.
    """
    draw, pictures, names, styles, lines = _drawer(), [], [], [], []
    for style in STYLES:
        icons, info, version = (_read(folder / PACKAGES[style] / name) for name in ("icons", "info", "package"))
        try:
            size = icons.get("width", 16), icons.get("height", 16)
            for name in chosen_names(icons["icons"]):
                icon = icons["icons"][name]
                width, height = icon.get("width", size[0]), icon.get("height", size[1])
                pictures.append(_small(draw(_svg(icon["body"], width, height))))
                names.append(name.replace("-", " "))
                styles.append(style)
                on_picture()
            lines.append(_notice(style, info, version["version"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise DeepCacheError(f"{folder / PACKAGES[style]}: is no package of icons ({error})") from error
    return Emoji(np.stack(pictures), np.array(names), np.array(styles)), "\n".join([NOTICE, *lines, ""])


def held_out(emoji: Emoji) -> list[str]:
    """Names of which none is to be trained on: drawn from those that every style has."""
    everywhere = sorted(set.intersection(*(set(emoji.names[emoji.styles == style].tolist()) for style in STYLES)))
    drawn = np.random.default_rng(0).permutation(len(everywhere))[:HELD]
    return [everywhere[index] for index in sorted(drawn)]


def write_emoji(emoji: Emoji, notice: str, folder: Path) -> None:
    """Write pictures, held-out names and notice, each whole or not at all; the same bytes of the same packages."""
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / PICTURES) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, arr_0=emoji.images, names=emoji.names, styles=emoji.styles)
    for name, text in ((HELD_OUT, "".join(f"{one}\n" for one in held_out(emoji))), ("NOTICE", notice)):
        with atomic(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _notice(style: str, info: dict, version: str) -> str:
    licence, author = info["license"], info["author"]
    made = f"{style}: {info['name']} by {author['name']}, {author['url']}"
    return f"{made}\n  {licence['title']}, {licence['url']}\n  @iconify-json/{PACKAGES[style]} {version}"


def _drawer() -> Callable[[str], bytes]:
    try:
        import resvg_py
    except ImportError as error:
        raise DeepCacheError("emoji are drawn by resvg-py: pip install resvg-py") from error
    return lambda svg: bytes(resvg_py.svg_to_bytes(svg_string=svg))


def _svg(body: str, width: float, height: float) -> str:
    """As large as is drawn, its longer side."""
    scale = DRAWN / max(width, height)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{width * scale}" height="{height * scale}">{body}</svg>'
    )


def _small(png: bytes) -> np.ndarray:
    drawn = Image.open(io.BytesIO(png)).convert("RGBA")
    page = Image.new("RGBA", (DRAWN, DRAWN), "white")
    page.alpha_composite(drawn, ((DRAWN - drawn.width) // 2, (DRAWN - drawn.height) // 2))
    return np.asarray(page.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def _read(path: Path) -> dict:
    path = path.with_suffix(".json")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except UNREADABLE as error:
        raise DeepCacheError(
            f"{path}: cannot be read ({error}): unpack @iconify-json/{path.parent.name} there"
        ) from error
