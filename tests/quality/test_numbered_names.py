"""Images are paired with prompts, and with each other, by the numbers in their names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcache.data.formats.folder import Folder, natural
from deepcache.data.pictures import list_pictures
from deepcache.errors import DeepCacheError
from deepcache.files import write_json
from deepcache.quality.numbered_names import check_numbered, check_paired
from deepcache.quality.paired_images import open_paired_folders
from deepcache.quality.prompted_images import open_prompted_folder, open_prompts

FOLDER = Path("somewhere")


def test_two_comes_before_ten():
    names = ["10.png", "2.png", "1.png", "b/3.png", "a/11.png", "a/2.png", "02.png"]
    assert sorted(names, key=natural) == ["1.png", "02.png", "2.png", "10.png", "a/2.png", "a/11.png", "b/3.png"]


@pytest.mark.parametrize(
    "names", [["1.png", "2.png", "10.png"], ["x-1-a.png", "x-2-a.jpg"], ["s1/3.png", "s2/1.png"], ["one.png"]]
)
def test_numbers_tell_the_order(names):
    check_numbered(FOLDER, names)


@pytest.mark.parametrize(
    "names", [["cat.png", "dog.png"], ["1.png", "x2.png"], ["1.png", "01.png"], ["1.png", "1.jpg"]]
)
def test_names_that_do_not_are_refused(names):
    with pytest.raises(DeepCacheError, match=r"^somewhere: the names \(.*\) do not tell the order: number them"):
        check_numbered(FOLDER, names)


def test_folders_are_paired_by_equal_names_or_by_numbers():
    check_paired(FOLDER, ["cat.png", "dog.png"], FOLDER, ["cat.jpg", "dog.jpg"])
    check_paired(FOLDER, ["1.png", "2.png"], FOLDER, ["a-7.png", "a-8.png"])
    with pytest.raises(DeepCacheError, match="do not tell the order"):
        check_paired(FOLDER, ["cat.png", "dog.png"], FOLDER, ["1.png", "2.png"])


def images(folder: Path, names) -> Path:
    """Image k of the names is of the brightness k."""
    folder.mkdir()
    for level, name in enumerate(names):
        Image.fromarray(np.full((4, 4, 3), level, np.uint8)).save(folder / name)
    return folder


def levels(found) -> list[int]:
    return [int(image[0, 0, 0]) for image in found.images]


def test_a_folders_images_meet_their_prompts(tmp_path):
    """1.png, 10.png, 2.png in the order of their letters would meet others."""
    names = [f"{number}.png" for number in range(1, 12)]
    folder = images(tmp_path / "images", names)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join(f"prompt {number}" for number in range(1, 12)), encoding="utf-8")
    texts, about = open_prompts(prompts)
    assert levels(open_prompted_folder(folder, about, texts)) == list(range(11))
    assert [path.name for path in list_pictures(folder)] == names
    assert list(Folder(folder).names) == names
    other = images(tmp_path / "others", [f"{number:03d}.png" for number in range(11)])
    first, second = open_paired_folders(folder, other)
    assert levels(first) == levels(second) == list(range(11))


def test_images_of_other_prompts_are_refused(tmp_path):
    folder = images(tmp_path / "images", ["0.png", "1.png"])
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo", encoding="utf-8")
    texts, about = open_prompts(prompts)
    write_json(folder / "generation.json", {"settings": {"prompts": "0" * 64}})
    with pytest.raises(
        DeepCacheError, match=r"was made from other prompts than those of .*, says its generation\.json"
    ):
        open_prompted_folder(folder, about, texts)
    (folder / "generation.json").write_text("{", encoding="utf-8")
    with pytest.raises(DeepCacheError, match="cannot be read"):
        open_prompted_folder(folder, about, texts)
