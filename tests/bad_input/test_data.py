"""Prompts, pictures and datasets: broken ones are refused, unusual ones mean what their makers meant."""

import io
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcache.data.datasets import open_images
from deepcache.data.pictures import read_picture
from deepcache.data.prompts import read_prompts
from tests.bad_input.conftest import CHECKPOINTS

COLOURS = np.array([[[200, 30, 10], [20, 180, 40]], [[0, 60, 220], [250, 250, 250]]], np.uint8)  # 2x2 pixels
SIDE = 8  # of the pictures that are files: JPEG keeps a colour that fills a block of 8x8
SD = CHECKPOINTS / "digits-sd"

# By name: the file's name, its bytes, and the prompts in it.
PROMPTS = {
    "a byte order mark": ("p.txt", b"\xef\xbb\xbfa cat\na dog\n", ["a cat", "a dog"]),
    "lines of Windows": ("p.txt", b"a cat\r\na dog\r\n", ["a cat", "a dog"]),
    "lines of old Macs": ("p.txt", b"a cat\ra dog\r", ["a cat", "a dog"]),
    "both, in a table": ("p.tsv", b"\xef\xbb\xbfPrompt\tNote\r\na cat\tx\r\n", ["a cat"]),
    "quotation marks in a table": ("p.tsv", b'Prompt\tNote\n"a" cat\t"x"\n', ['"a" cat']),
    "a byte order mark before JSON": (
        "p.json",
        b'\xef\xbb\xbf{"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": "a cat"}]}',
        ["a cat"],
    ),
    "emoji": ("p.txt", "a 🐈\n".encode(), ["a 🐈"]),
    "what the shell would run": ("p.txt", b"$(touch x) `touch x` ; touch x\n", ["$(touch x) `touch x` ; touch x"]),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_unusual_prompts_are_what_was_meant(name, place):
    file, content, prompts = PROMPTS[name]
    (place / file).write_bytes(content)
    assert read_prompts(file) == prompts


REFUSED_PROMPTS = {
    "a tab in quotation marks": ("p.tsv", b'Prompt\tNote\n"a\tcat"\tx\n', "line 2 has 3 cells, but line 1 names 2"),
    "an empty line": ("p.txt", b"a cat\r\n\r\na dog\r\n", "line 2 is empty"),
    "an empty line of old Macs": ("p.txt", b"a cat\r\ra dog\r", "line 2 is empty"),
    "UTF-16": ("p.txt", "a cat".encode("utf-16"), "line 1, byte 0: not UTF-8"),
    "captions of a number": ("p.json", b'{"images": [{"id": 1}], "annotations": [{"image_id": 1, "caption": 5}]}', ""),
    "a list of prompts": ("p.json", b'["a cat"]', "not COCO captions"),
    "brackets without end": ("p.json", b"[" * 100_000, "not JSON (maximum recursion depth"),
    "a picture": ("p.png", b"\x89PNG", "the suffix is none of .tsv, .json, .txt"),
}


@pytest.mark.parametrize("name", REFUSED_PROMPTS)
def test_broken_prompts_are_refused(name, refusal):
    file, content, message = REFUSED_PROMPTS[name]
    Path(file).write_bytes(content)
    said = refusal("generate.py", "--checkpoint", SD, "--prompts", file, "--output", "out")
    assert said.startswith(f"{file}: ") and message in said


def in_colours(mode: str) -> Image.Image:
    return Image.fromarray(COLOURS.repeat(SIDE, 0).repeat(SIDE, 1)).convert(mode)


def with_alpha() -> Image.Image:
    picture = in_colours("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


PICTURES = {
    "a palette": ("p.png", lambda: in_colours("RGB").quantize(8)),
    "alpha": ("p.png", with_alpha),
    "CMYK": ("p.tif", lambda: in_colours("CMYK")),
}


@pytest.mark.parametrize("name", PICTURES)
def test_unusual_pictures_have_their_colours(name, place):
    file, make = PICTURES[name]
    make().save(file)
    shown = np.asarray(read_picture(file)).astype(int)[SIDE // 2 :: SIDE, SIDE // 2 :: SIDE]
    assert shown.shape == COLOURS.shape and np.abs(shown - COLOURS).max() <= 1


@pytest.mark.parametrize("file", ["p.png", "p.jpg"])
def test_a_grey_picture_is_grey_in_three_channels(file, place):
    grey = np.array([[10, 200], [90, 255]], np.uint8)
    Image.fromarray(grey.repeat(SIDE, 0).repeat(SIDE, 1)).save(file, quality=100)
    shown = np.asarray(read_picture(file)).astype(int)[SIDE // 2 :: SIDE, SIDE // 2 :: SIDE]
    assert (np.abs(shown - grey[..., None]) <= 1).all() and shown.shape == (2, 2, 3)


# What a camera writes, and where it then shows the four colours: rows from above.
TURNED = {
    1: COLOURS,
    2: COLOURS[:, ::-1],
    3: COLOURS[::-1, ::-1],
    4: COLOURS[::-1],
    5: COLOURS.transpose(1, 0, 2),
    6: COLOURS[::-1].transpose(1, 0, 2),
    7: COLOURS[::-1, ::-1].transpose(1, 0, 2),
    8: COLOURS[:, ::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
def test_a_camera_says_which_side_is_up(form, orientation, place):
    tags = Image.Exif()
    tags[0x0112] = orientation
    options = {"lossless": True} if form == "webp" else {"quality": 100, "subsampling": 0}
    in_colours("RGB").save(f"p.{form}", exif=tags, **options)
    shown = np.asarray(read_picture(f"p.{form}")).astype(int)[SIDE // 2 :: SIDE, SIDE // 2 :: SIDE]
    assert np.abs(shown - TURNED[orientation]).max() <= 2


def encoded(form: str, **options) -> bytes:
    stream = io.BytesIO()
    in_colours("RGB").save(stream, form, **options)
    return stream.getvalue()


def turned() -> bytes:
    tags = Image.Exif()
    tags[0x0112] = 6
    return encoded("WEBP", exif=tags).replace(b"MM\x00*", b"MM\x96*")


def deep() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((16, 16), 40_000, np.uint16)).save(stream, "PNG")
    return stream.getvalue()


def huge() -> bytes:
    """A header that promises more pixels than memory has."""
    return encoded("BMP")[:18] + (60_000).to_bytes(4, "little") * 2 + encoded("BMP")[26:]


REFUSED_PICTURES = {
    "cut off": (lambda: encoded("PNG")[:60], "not readable as an image ("),
    "empty": (lambda: b"", "the file is empty"),
    "a page": (lambda: b"<html>404</html>", "not readable as an image (no known image format)"),
    "16 bits": (deep, "has I;16 pixels: only 8 bits a channel are read: convert it"),
    "tags that are damaged": (turned, "which side is up cannot be read ("),
    "pixels without end": (huge, "not readable as an image (Image size (3600000000 pixels) exceeds limit"),
}


@pytest.mark.parametrize("name", REFUSED_PICTURES)
def test_broken_pictures_are_refused(name, refusal):
    make, message = REFUSED_PICTURES[name]
    Path("p.txt").write_text("a\n", encoding="utf-8")
    Path("p.png").write_bytes(make())
    said = refusal("generate.py", "--checkpoint", SD, "--prompts", "p.txt", "--images", "p.png", "--output", "out")
    assert said.startswith(f"p.png: {message}")


REFUSED_MASKS = {
    "transparent": (with_alpha, "a mask with transparent parts: paint white what is repainted"),
    "a colour that is transparent": (
        lambda: in_colours("RGB").quantize(8),
        "a mask with transparent parts: paint white what is repainted",
    ),
}


@pytest.mark.parametrize("name", REFUSED_MASKS)
def test_masks_that_would_not_do_what_was_meant(name, refusal):
    make, message = REFUSED_MASKS[name]
    Path("p.txt").write_text("a\n", encoding="utf-8")
    in_colours("RGB").save("p.png")
    make().save("m.png", **({"transparency": 0} if name == "a colour that is transparent" else {}))
    options = ("--images", "p.png", "--masks", "m.png", "--output", "out")
    assert refusal("generate.py", "--checkpoint", SD, "--prompts", "p.txt", *options).startswith(f"m.png: {message}")


def test_grey_images_of_a_folder_are_read_as_they_are(place):
    (place / "images").mkdir()
    Image.fromarray(np.full((4, 4), 77, np.uint8)).save("images/a.png")
    (image,) = open_images("folder", place / "images").read()
    assert image.shape == (4, 4, 3) and (image == 77).all()


def archive(**arrays):
    def write(path: Path):
        np.savez(path, **arrays)

    return write


def lmdb_of_zeros(path: Path):
    path.mkdir()
    (path / "data.mdb").write_bytes(bytes(4096))


def cifar_of_lists(path: Path):
    path.mkdir()
    for number in range(1, 6):
        (path / f"data_batch_{number}").write_bytes(pickle.dumps({"data": [1, 2, 3]}))


IMAGES = np.zeros((2, 8, 8, 3), np.uint8)
DATASETS = {
    "an archive of objects": ("npz", "d.npz", archive(arr_0=np.array([{}], object)), "arr_0 is object (1,)"),
    "an archive of floats": ("npz", "d.npz", archive(arr_0=IMAGES.astype(np.float32)), "arr_0 is float32"),
    "an archive without images": ("npz", "d.npz", archive(x=IMAGES), "has no arr_0, the images, but x"),
    "half of the moments": ("npz", "d.npz", archive(arr_0=IMAGES, mu=np.zeros(2048)), "has some of mu, "),
    "an archive that is text": ("npz", "d.npz", lambda path: path.write_bytes(b"x"), "not a readable .npz ("),
    "a database of zeros": ("lmdb", "d", lmdb_of_zeros, "data.mdb: "),
    "batches of lists": ("cifar10", "d", cifar_of_lists, "data_batch_1: not a batch of CIFAR-10"),
    "a folder without images": ("folder", "d", Path.mkdir, "d: holds no images (*.png, "),
    "a folder that is a file": ("folder", "d", lambda path: path.write_bytes(b"x"), "d: not a folder"),
    "prompts that are a folder": ("text", "d", Path.mkdir, "d: Is a directory"),
}


@pytest.mark.parametrize("name", DATASETS)
def test_datasets_that_are_none(name, refusal):
    form, place, make, message = DATASETS[name]
    make(Path(place))
    options = ("--name", "mine", "--format", form, "--source", "local", "--folder", place)
    said = refusal("dataset.py", *options, "--downloads", "downloads", "--output", "out/d.json")
    assert said.startswith(f"datasets.mine: {place}") and message in said


def test_a_manifest_of_a_dataset_that_changed(refusal, dataset):
    Path("p.txt").write_text("a\n", encoding="utf-8")
    manifest = dataset("text", "p.txt")
    Path("p.txt").write_text("b\n", encoding="utf-8")
    weights = ("--weights", CHECKPOINTS / "digits-clip", "--images", "images", "--output", "c.json")
    assert refusal("clip_score.py", "--prompts", manifest, *weights).startswith("p.txt changed since ")
    moved = {**json.loads(manifest.read_text(encoding="utf-8")), "path": "q.txt"}
    manifest.write_text(json.dumps(moved), encoding="utf-8")
    assert refusal("clip_score.py", "--prompts", manifest, *weights).startswith("q.txt is missing, which ")
