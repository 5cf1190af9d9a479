import json

import pytest

from deepcache import DeepCacheError
from deepcache.data.digits import digest
from deepcache.data.formats.folder import Folder
from deepcache.data.manifests import fingerprint, open_dataset, open_manifest, read_prompts, texts_of, write_manifest
from deepcache.data.random_datasets import write_random


@pytest.fixture
def folder(tmp_path):
    write_random("folder", tmp_path / "data", 12, 8, 0)
    return tmp_path / "data"


def refused(call, *arguments):
    with pytest.raises(DeepCacheError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_manifest_opens_the_dataset(folder, tmp_path):
    written = write_manifest(tmp_path / "m.json", "x", "folder", folder, "local", {"folder": "data"}, "CC0")
    found = open_manifest(tmp_path / "m.json")
    assert found == written
    assert found["items"] == 12
    assert found["bytes"] == sum(path.stat().st_size for path in folder.rglob("*.png"))
    assert (found["name"], found["format"], found["source"], found["licence"]) == ("x", "folder", "local", "CC0")
    assert len(open_dataset(found, 8, 12)) == 12
    assert refused(open_dataset, found, 8, 13) == ("datasets.x: holds 12 images, 13 are asked for: lower the number")


def test_the_bundled_digits_need_no_place(tmp_path):
    found = write_manifest(tmp_path / "m.json", "digits", "digits", None, "bundled")
    with pytest.raises(DeepCacheError, match=r"datasets\.digits: digits holds images, not prompts"):
        texts_of(found)
    assert found["items"] == 1797
    assert found["path"] is None
    assert found["fingerprint"] == digest()
    assert next(open_dataset(open_manifest(tmp_path / "m.json"), 32).read()).shape == (32, 32, 1)


def test_prompts_have_manifests_too(tmp_path):
    (tmp_path / "p.txt").write_text("a\nb\n", encoding="utf-8")
    found = write_manifest(tmp_path / "m.json", "p", "text", tmp_path / "p.txt", "local")
    assert found["items"] == 2
    assert found["bytes"] == 4
    assert refused(open_dataset, open_manifest(tmp_path / "m.json"), 8) == "datasets.p: text holds prompts, not images"
    (tmp_path / "p.txt").write_text("a\nc\n", encoding="utf-8")
    assert "changed since" in refused(open_manifest, tmp_path / "m.json")


def test_prompts_are_texts_or_pictures_of_which_one_is_read_at_a_time(folder, tmp_path):
    (tmp_path / "p.txt").write_text("a\nb\n", encoding="utf-8")
    write_manifest(tmp_path / "m.json", "p", "text", tmp_path / "p.txt", "local")
    assert read_prompts(tmp_path / "m.json") == ["a", "b"]
    write_manifest(tmp_path / "m.json", "x", "folder", folder, "local")
    pictures = read_prompts(tmp_path / "m.json")
    place = Folder(folder).names.index("class-3/00003.png")
    expected = pictures[place]
    for file in folder.rglob("*.png"):
        if file.name != "00003.png":
            file.write_bytes(b"")
    assert len(pictures) == 12 and (pictures[place] == expected).all()
    with pytest.raises(DeepCacheError, match="the file is empty"):
        pictures[place + 1]
    with pytest.raises(IndexError):
        pictures[12]


def test_grey_pictures_are_prompts_in_colour(tmp_path):
    write_manifest(tmp_path / "m.json", "digits", "digits", None, "bundled")
    picture = read_prompts(tmp_path / "m.json")[7]
    assert picture.shape == (16, 16, 3) and (picture == picture[..., :1]).all()


@pytest.mark.parametrize("change", ["remove", "add", "rename", "resize", "gone"])
def test_a_dataset_that_changed_is_refused(folder, tmp_path, change):
    write_manifest(tmp_path / "m.json", "x", "folder", folder, "local")
    file = folder / "class-3/00003.png"
    if change == "remove":
        file.unlink()
    elif change == "add":
        (folder / "more.png").write_bytes(b"1")
    elif change == "rename":
        file.rename(folder / "class-3/3.png")
    elif change == "resize":
        file.write_bytes(file.read_bytes() + b"1")
    else:
        folder.rename(tmp_path / "elsewhere")
    message = refused(open_manifest, tmp_path / "m.json")
    assert message.startswith(f"{folder} {'is missing' if change == 'gone' else 'changed since'}")


def test_what_opening_leaves_behind_is_no_change(folder):
    before = fingerprint(folder)
    (folder / "lock.mdb").write_bytes(b"")
    (folder / ".DS_Store").write_bytes(b"")
    assert fingerprint(folder) == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"path": "x", "fingerprint": "y"}'])
def test_another_file_is_no_manifest(tmp_path, content):
    (tmp_path / "m.json").write_text(content, encoding="utf-8")
    assert "m.json: not a dataset's manifest" in refused(open_manifest, tmp_path / "m.json")


def test_nothing_is_written_for_a_bad_dataset(tmp_path):
    (tmp_path / "data").mkdir()
    assert "holds no images" in refused(write_manifest, tmp_path / "m.json", "x", "folder", tmp_path / "data", "local")
    (tmp_path / "data/a.png").write_bytes(b"x")
    assert "not readable" in refused(write_manifest, tmp_path / "m.json", "x", "folder", tmp_path / "data", "local")
    assert "no such file" in refused(write_manifest, tmp_path / "m.json", "x", "folder", tmp_path / "none", "local")
    assert not (tmp_path / "m.json").exists()


def test_a_manifest_is_plain_json(folder, tmp_path):
    written = write_manifest(tmp_path / "m.json", "x", "folder", folder, "local")
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == written
