"""Every format is read by the reader of the real data; preparing and batching them."""

import shutil

import numpy as np
import pytest

from deepcache.data.datasets import IMAGE_FORMATS, PROMPT_FORMATS, batches, open_images, open_prompts, read_prepared
from deepcache.data.random_datasets import WRITERS, random_images, write_random
from tests.data.reading import COUNT, SEED, SIDE, failure, read_all


@pytest.mark.parametrize("form", WRITERS)
def test_images_come_back_whole_and_in_a_stable_order(dataset, form):
    path = dataset(form)
    images = open_images(form, path)
    found = list(images.read())
    assert len(images) == len(found) == COUNT
    assert all(image.shape == (SIDE, SIDE, 3) and image.dtype == np.uint8 for image in found)
    assert {image.tobytes() for image in found} == {image.tobytes() for image in random_images(COUNT, SIDE, SEED)}
    again = open_images(form, path)
    assert all(np.array_equal(*pair) for pair in zip(found, again.read(), strict=True))


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("start", [1, 5, COUNT - 1, COUNT])
def test_reading_starts_where_it_is_asked_to(dataset, form, start):
    images = open_images(form, dataset(form))
    found, rest = list(images.read()), list(images.read(start))
    assert len(rest) == COUNT - start
    assert all(np.array_equal(*pair) for pair in zip(found[start:], rest, strict=True))


@pytest.mark.parametrize("form", ["cifar10", "npz"])
def test_order_is_that_of_the_file(dataset, form):
    found = read_all(form, dataset(form))
    assert all(np.array_equal(*pair) for pair in zip(found, random_images(COUNT, SIDE, SEED), strict=True))


@pytest.mark.parametrize("form", WRITERS)
def test_random_datasets_depend_on_the_seed(tmp_path, form):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_random(form, tmp_path / name, 3, SIDE, seed)
    a, b, c = (np.stack(read_all(form, tmp_path / name)) for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert a.std() > 10


def test_digits_are_grey_and_of_the_size_asked_for():
    images = open_images("digits", None, 32)
    assert len(images) == 1797
    assert next(images.read(1796)).shape == (32, 32, 1)


def test_unknown_formats_are_refused(tmp_path):
    assert "format 'coco' is not one of images: use digits, emoji, folder" in failure(open_images, "coco", tmp_path)
    assert "format 'npz' is not one of prompts: use partiprompts, coco, captions, text" in failure(
        open_prompts, "npz", tmp_path
    )
    assert "'text' has no random images" in failure(write_random, "text", tmp_path / "x", 1, 8, 0)
    assert "CIFAR-10's images have 32 pixels" in failure(write_random, "cifar10", tmp_path / "x", 1, 8, 0)
    assert not set(IMAGE_FORMATS) & set(PROMPT_FORMATS)


def test_prompt_files_are_datasets(tmp_path):
    (tmp_path / "p.txt").write_text("a cat\na dog\n", encoding="utf-8")
    assert open_prompts("text", tmp_path / "p.txt") == ["a cat", "a dog"]


def test_a_wrong_size_is_named_by_its_index(dataset):
    images = open_images("folder", dataset("folder"))
    assert failure(next, read_prepared(images, 16, "none", 5)).startswith("image 5: 32x32 pixels, not 16x16")
    assert next(read_prepared(images, 16, "center", 5)).shape == (16, 16, 3)


def test_batches_hold_all_images_in_order():
    images = list(random_images(7, 8, 0))
    found = list(batches(iter(images), 3))
    assert [len(batch) for batch in found] == [3, 3, 1]
    assert np.array_equal(np.concatenate(found), np.stack(images))
    assert list(batches(iter([]), 3)) == []
    assert "are mixed" in failure(list, batches([images[0], images[1][:4]], 3))


def test_a_batch_of_mixed_shapes_ends_where_the_shape_changes():
    images = list(random_images(7, 8, 0))
    images[2:4] = [image[:4] for image in images[2:4]]
    found = list(batches(iter(images), 2, mixed=True))
    assert [batch.shape[:2] for batch in found] == [(2, 8), (2, 4), (2, 8), (1, 8)]
    for first, second in zip(images, [image for batch in found for image in batch], strict=True):
        assert np.array_equal(first, second)


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch):
    def fail(path, images):
        path.mkdir()
        raise OSError("disk")

    monkeypatch.setitem(WRITERS, "folder", fail)
    with pytest.raises(OSError):
        write_random("folder", tmp_path / "x", 1, 8, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_random_dataset_replaces_an_older_one(dataset):
    path = dataset("folder", 20)
    shutil.copy(path / "class-0/00000.png", path / "class-0/extra.png")
    assert len(open_images("folder", dataset("folder", 3))) == 3
