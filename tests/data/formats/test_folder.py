"""Folders of images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcache import DeepCacheError
from deepcache.data.datasets import open_images
from deepcache.data.formats.folder import list_files
from deepcache.data.random_datasets import random_images
from tests.data.reading import encoded, failure, read_all


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "images"
    (path / "b/deep").mkdir(parents=True)
    return path


def test_a_folder_is_sorted_by_relative_name_and_skips_the_rest(folder, tmp_path):
    shades = {
        "b/1.png": 1,
        "a.PNG": 2,
        "b/deep/0.webp": 3,
        "b/10.bmp": 4,
        "c.tiff": 5,
        "d.jpeg": 6,
        "e.jpg": 7,
        "f.tif": 8,
    }
    for name, shade in shades.items():
        suffix = Path(name).suffix.lower().lstrip(".")
        form = {"jpg": "JPEG", "jpeg": "JPEG", "tif": "TIFF", "tiff": "TIFF"}.get(suffix, suffix.upper())
        options = {"lossless": True} if form == "WEBP" else {}
        (folder / name).write_bytes(encoded(np.full((2, 3), shade, np.uint8), form, **options))
    for name in (".hidden.png", "labels.txt", "b/._1.png"):
        (folder / name).write_bytes(b"no image")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.png").write_bytes(encoded(np.full((2, 3), 9, np.uint8)))
    (folder / "z").symlink_to(elsewhere)
    found = read_all("folder", folder)
    assert [image[0, 0, 0] for image in found] == [shades[name] for name in sorted(shades)] + [9]
    assert all(image.shape == (2, 3, 3) for image in found)
    assert "labels.txt" in list_files(folder)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK", "1"])
def test_other_modes_become_rgb(folder, mode):
    image = Image.new("RGB", (4, 2), (255, 255, 255)).convert(mode)
    image.save(folder / f"image.{'jpg' if mode == 'CMYK' else 'png'}")
    [found] = read_all("folder", folder)
    assert found.shape == (2, 4, 3)
    assert found.min() > 250


def test_pixels_of_16_bits_are_refused(folder):
    Image.fromarray(np.full((2, 2), 40_000, np.uint16)).save(folder / "deep.png")
    assert f"{folder / 'deep.png'}: has I;16 pixels" in failure(read_all, "folder", folder)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tif"])
@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_damaged_image_is_named(folder, suffix, damage):
    form = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    whole = encoded(next(random_images(1, 64, 0)), form)
    content = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"<html>404</html>"}[damage]
    (folder / "a.png").write_bytes(encoded(next(random_images(1, 64, 0))))
    (folder / f"b/bad.{suffix}").write_bytes(content)
    images = open_images("folder", folder).read()
    next(images)
    message = failure(next, images)
    expected = "the file is empty" if damage == "empty" else "not readable as an image"
    assert message.startswith(f"{folder}/b/bad.{suffix}: {expected}")
    assert message.endswith("remove it or get it again")


def test_damage_of_any_kind_is_a_line(folder):
    """Random bytes overwritten: either the image is decoded or the error names it."""
    rng = np.random.default_rng(0)
    for form, suffix in (("PNG", "png"), ("JPEG", "jpg"), ("WEBP", "webp"), ("BMP", "bmp")):
        whole = encoded(next(random_images(1, 16, 0)), form)
        for _ in range(60):
            content = bytearray(whole)
            for place in rng.integers(0, len(whole), 6):
                content[place] = rng.integers(256)
            (folder / f"x.{suffix}").write_bytes(content)
            try:
                read_all("folder", folder)
            except DeepCacheError as error:
                assert str(error).startswith(str(folder / f"x.{suffix}"))
        (folder / f"x.{suffix}").unlink()


def test_images_that_would_be_passed_over_are_refused(folder):
    (folder / "0.png").write_bytes(encoded(np.zeros((2, 3), np.uint8)))
    (folder / "b/1.GIF").write_bytes(encoded(np.zeros((2, 3), np.uint8), "GIF"))
    message = f"{folder / 'b/1.GIF'}: this format is not read: make it a PNG, or take it away"
    assert failure(open_images, "folder", folder) == message


def test_an_empty_folder_is_refused(folder):
    assert failure(open_images, "folder", folder) == (
        f"{folder}: holds no images (*.png, *.jpg, *.jpeg, *.webp, *.bmp, *.tif, *.tiff)"
    )
    assert "not a folder" in failure(open_images, "folder", folder / "none")


def test_a_file_that_vanishes_is_named(folder):
    (folder / "a.png").write_bytes(encoded(np.zeros((2, 2, 3), np.uint8)))
    images = open_images("folder", folder)
    (folder / "a.png").unlink()
    assert failure(next, images.read()) == f"{folder}/a.png: No such file or directory"
