"""Emoji: what ships, and how it is drawn from packages."""

import hashlib
import json
import re

import numpy as np
import pytest

from deepcache import DeepCacheError
from deepcache.data.emoji import FOLDER, HELD_OUT, PICTURES, STYLES, held_out_names, load_emoji
from deepcache.data.emoji_rendering import PACKAGES, chosen_names

SQUARE = '<rect x="{x}" width="8" height="8" fill="{colour}"/>'
NAMES = ("red-apple", "police-car", "police-car-light", "waving-hand", "waving-hand-medium-dark", "old")


def write_packages(folder, names=NAMES):
    """Three small ones."""
    for style, name in PACKAGES.items():
        place = folder / name
        place.mkdir(parents=True)
        colour = {"fluent": "red", "noto": "lime", "twemoji": "blue"}[style]
        icons = {one: {"body": SQUARE.format(x=index % 2 * 8, colour=colour)} for index, one in enumerate(names)}
        if "old" in icons:
            icons["old"]["hidden"] = True
        info = {"name": style, "author": {"name": "Maker", "url": "u"}, "license": {"title": "L", "url": "v"}}
        for file, content in (
            ("icons", {"icons": icons, "width": 16, "height": 8}),
            ("info", info),
            ("package", {"version": "1"}),
        ):
            (place / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_what_ships():
    emoji, held = load_emoji(), held_out_names()
    assert emoji.images.shape == (5226, 32, 32, 3) and emoji.images.dtype == np.uint8
    assert [int((emoji.styles == style).sum()) for style in STYLES] == [1594, 1689, 1943]
    assert len(set(zip(emoji.styles, emoji.names, strict=True))) == len(emoji)
    assert "a noto emoji of red apple" in emoji.prompts
    everywhere = set.intersection(*(set(emoji.names[emoji.styles == style].tolist()) for style in STYLES))
    assert len(held) == len(set(held)) == 300 and set(held) <= everywhere
    red = emoji.images[emoji.prompts.index("a noto emoji of red apple")].reshape(-1, 3).astype(int)
    assert (red[:, 0] > red[:, 1] + 80).mean() > 0.3 and (red.min(1) > 240).mean() > 0.2, "red, on white"
    assert (FOLDER / "NOTICE").read_text(encoding="utf-8").count("@iconify-json/") == len(STYLES)


def test_drawn_twice_they_are_the_same_bytes(call, tmp_path):
    packages = write_packages(tmp_path / "packages")
    digests = set()
    for name in ("one", "two"):
        assert call("emoji_pictures.py", "--packages", packages, "--output", tmp_path / name) == 0
        digests.add(hashlib.sha256((tmp_path / name / PICTURES).read_bytes()).hexdigest())
    assert len(digests) == 1
    emoji = load_emoji(tmp_path / "one")
    assert emoji.names.tolist() == 3 * ["police car", "police car light", "red apple", "waving hand"]
    assert (emoji.images[2][8:24, :16] == (255, 0, 0)).all(), "the left half of a wide icon"
    assert (emoji.images[2][:8] == 255).all() and (emoji.images[2][:, 16:] == 255).all()
    assert sorted(set(emoji.names)) == held_out_names(tmp_path / "one")
    notice = (tmp_path / "one/NOTICE").read_text(encoding="utf-8")
    assert "noto: noto by Maker, u\n  L, v\n  @iconify-json/noto 1\n" in notice


def test_colours_of_the_skin_are_left_out():
    icons = {name: {} for name in ("hand", "hand-medium-dark", "hand-light", "hand-dark-skin-tone", "car-light", "car")}
    assert chosen_names(icons) == ["car", "car-light", "hand"]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda place: (place / "icons.json").unlink(),
            r"icons\.json: cannot be read .*unpack @iconify-json/noto there",
        ),
        (
            lambda place: (place / "info.json").write_text("{}", encoding="utf-8"),
            r"noto: is no package of icons \('license'\)",
        ),
    ],
)
def test_packages_that_are_none_are_a_line(call, tmp_path, capsys, break_it, message):
    packages = write_packages(tmp_path / "packages")
    break_it(packages / "noto")
    assert call("emoji_pictures.py", "--packages", packages, "--output", tmp_path / "out") == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [PICTURES, HELD_OUT])
def test_a_missing_file_is_a_line(tmp_path, name):
    with pytest.raises(DeepCacheError, match=f"{name}: cannot be read"):
        (load_emoji if name == PICTURES else held_out_names)(tmp_path)
