"""Every format is read by the reader of the real data; what is damaged is named."""

import io
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcache import DeepCacheError
from deepcache.data.datasets import IMAGE_FORMATS, PROMPT_FORMATS, batches, open_images, open_prompts, read_prepared
from deepcache.data.formats.folder import list_files
from deepcache.data.formats.npz import MOMENTS
from deepcache.data.random_datasets import WRITERS, random_images, write_npz, write_random

COUNT, SIDE, SEED = 12, 32, 3


@pytest.fixture
def dataset(tmp_path):
    """Write a random dataset; returns its path."""

    def dataset(form, count=COUNT):
        path = tmp_path / f"{form}.npz" if form == "npz" else tmp_path / form
        write_random(form, path, count, SIDE, SEED)
        return path

    return dataset


def encoded(image, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def refused(call, *arguments):
    """The one line of the error that a call ends with."""
    with pytest.raises(DeepCacheError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def read_all(form, path):
    return list(open_images(form, path).read())


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
    assert "format 'coco' is not one of images: use digits, folder" in refused(open_images, "coco", tmp_path)
    assert "format 'npz' is not one of prompts: use partiprompts, coco, text" in refused(open_prompts, "npz", tmp_path)
    assert "'text' has no random images" in refused(write_random, "text", tmp_path / "x", 1, 8, 0)
    assert "CIFAR-10's images have 32 pixels" in refused(write_random, "cifar10", tmp_path / "x", 1, 8, 0)
    assert not set(IMAGE_FORMATS) & set(PROMPT_FORMATS)


def test_prompt_files_are_datasets(tmp_path):
    (tmp_path / "p.txt").write_text("a cat\na dog\n")
    assert open_prompts("text", tmp_path / "p.txt") == ["a cat", "a dog"]


# Folders


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
    assert f"{folder / 'deep.png'}: has I;16 pixels" in refused(read_all, "folder", folder)


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
    message = refused(next, images)
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


def test_an_empty_folder_is_refused(folder):
    assert refused(open_images, "folder", folder) == (
        f"{folder}: holds no images (*.png, *.jpg, *.jpeg, *.webp, *.bmp, *.tif, *.tiff)"
    )
    assert "not a folder" in refused(open_images, "folder", folder / "none")


def test_a_file_that_vanishes_is_named(folder):
    (folder / "a.png").write_bytes(encoded(np.zeros((2, 2, 3), np.uint8)))
    images = open_images("folder", folder)
    (folder / "a.png").unlink()
    assert refused(next, images.read()) == f"{folder}/a.png: No such file or directory"


# CIFAR-10


def python2_batch(pixels):
    """A batch as Python 2 pickled it: all strings are byte strings, and the array's module has its old name."""
    count = len(pixels).to_bytes(4, "little")
    data = pixels.tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"J" + count + b"M\x00\x0c\x86"
    content = b"(K\x01" + shape + dtype + b"\x89T" + len(data).to_bytes(4, "little") + data + b"tb"
    labels = b"U\x06labels](" + b"K\x00" * len(pixels) + b"e"
    return b"\x80\x02}(" + b"U\x0bbatch_labelU\x03one" + labels + b"U\x04data" + array + content + b"u."


def test_cifar10_as_it_is_published(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (10, 3072), dtype=np.uint8)
    for number in range(5):
        (folder / f"data_batch_{number + 1}").write_bytes(python2_batch(pixels[2 * number : 2 * number + 2]))
    (folder / "test_batch").write_bytes(b"not read")
    for path in (folder, tmp_path):
        found = read_all("cifar10", path)
        assert len(found) == 10
        assert np.array_equal(found[7][4, 5], pixels[7].reshape(3, 32, 32)[:, 4, 5])
        assert np.array_equal(np.stack(found).transpose(0, 3, 1, 2).reshape(10, -1), pixels)


class Evil:
    """Unpickled the ordinary way, it makes a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"data": evil}, lambda evil: {"x": [(evil,)]}])
def test_code_in_a_batch_is_refused_and_not_run(dataset, tmp_path, wrap):
    path = dataset("cifar10")
    made = tmp_path / "made"
    (path / "data_batch_3").write_bytes(pickle.dumps(wrap(Evil(made))))
    message = refused(open_images, "cifar10", path)
    assert f"{path / 'data_batch_3'}: not a batch of CIFAR-10 (it asks for posix.mkdir" in message
    assert not made.exists()
    pickle.loads((path / "data_batch_3").read_bytes())
    assert made.exists(), "the same bytes do run code where they are let"


@pytest.mark.parametrize(
    "values", [[], {}, {"data": 1}, {"data": np.zeros((2, 3072))}, {"data": np.zeros((2, 3), np.uint8)}]
)
def test_another_pickle_is_no_batch(dataset, values):
    path = dataset("cifar10")
    (path / "data_batch_2").write_bytes(pickle.dumps(values, protocol=4))
    assert f"{path / 'data_batch_2'}: not a batch of CIFAR-10" in refused(open_images, "cifar10", path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04", None])
def test_a_damaged_or_missing_batch_is_named(dataset, content):
    path = dataset("cifar10")
    batch = path / "data_batch_4"
    batch.unlink()
    if content is not None:
        batch.write_bytes(content)
    assert refused(open_images, "cifar10", path).startswith(f"{batch}: ")
    assert "data_batch_1 to data_batch_5" in refused(open_images, "cifar10", path / "nowhere")


# LMDB


def lmdb_with(path, values):
    import lmdb

    path.mkdir(exist_ok=True)
    with lmdb.open(str(path), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key, value)
    return path


def test_lmdb_is_in_the_order_of_keys_and_leaves_no_lock(tmp_path):
    shades = {b"b": 2, b"a": 1, b"c": 3}
    path = lmdb_with(tmp_path / "db", {k: encoded(np.full((2, 2, 3), v, np.uint8)) for k, v in shades.items()})
    (path / "lock.mdb").unlink()
    images = open_images("lmdb", path)
    first, second = images.read(), images.read()
    assert [image[0, 0, 0] for image in first] == [1, 2, 3]
    assert [image[0, 0, 0] for image in second] == [1, 2, 3]
    assert [entry.name for entry in path.iterdir()] == ["data.mdb"]


def test_a_damaged_value_is_named_by_its_key(tmp_path):
    path = lmdb_with(tmp_path / "db", {b"good": encoded(np.zeros((2, 2, 3), np.uint8)), b"\xffkey": b"no image"})
    message = refused(read_all, "lmdb", path)
    assert message.startswith(f"{path}: key \\xffkey: not readable as an image (no known image format)")


def test_a_wrong_lmdb_is_refused(dataset, tmp_path):
    assert "holds no data.mdb" in refused(open_images, "lmdb", tmp_path)
    assert "holds no images" in refused(open_images, "lmdb", lmdb_with(tmp_path / "empty", {}))
    path = dataset("lmdb")
    whole = (path / "data.mdb").read_bytes()
    (path / "data.mdb").write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
    assert "data.mdb: cut off after" in refused(open_images, "lmdb", path)
    (path / "data.mdb").write_bytes(b"no database" * 1000)
    assert "data.mdb: not a readable database" in refused(open_images, "lmdb", path)


# npz


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_an_npz_is_read_in_pieces(tmp_path, write):
    """The whole array is never in memory: reading takes less than it is long."""
    import tracemalloc

    images = np.random.default_rng(0).integers(0, 256, (400, 64, 64, 3), dtype=np.uint8)
    write(tmp_path / "x.npz", arr_0=images, arr_1=np.zeros(400))
    tracemalloc.start()
    found = open_images("npz", tmp_path / "x.npz")
    assert sum(int(image[0, 0, 0]) for image in found.read()) == images[:, 0, 0, 0].sum(dtype=int)
    assert tracemalloc.get_traced_memory()[1] < images.nbytes / 4
    tracemalloc.stop()
    assert np.array_equal(next(found.read(399)), images[399])


def test_moments_are_read_where_they_are(dataset, tmp_path):
    images = open_images("npz", dataset("npz"))
    assert images.has_moments
    moments = images.moments()
    assert {key: value.shape for key, value in moments.items()} == MOMENTS
    assert all(value.dtype == np.float64 for value in moments.values())
    write_npz(tmp_path / "without.npz", random_images(2, 8, 0), moments=False)
    assert not open_images("npz", tmp_path / "without.npz").has_moments


ARRAY = np.zeros((2, 4, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "has no arr_0, the images, but nothing"),
        ({"images": ARRAY, "mu": ARRAY}, "has no arr_0, the images, but images, mu"),
        ({"arr_0": ARRAY.astype(float)}, "arr_0 is float64 (2, 4, 4, 3), not uint8 (N, H, W, 3)"),
        ({"arr_0": ARRAY[0]}, "arr_0 is uint8 (4, 4, 3), not uint8 (N, H, W, 3)"),
        ({"arr_0": ARRAY.transpose(0, 3, 1, 2)}, "arr_0 is uint8 (2, 3, 4, 4)"),
        ({"arr_0": np.asfortranarray(ARRAY)}, "in Fortran order"),
        ({"arr_0": np.array([None, {}])}, "arr_0 is object"),
        ({"arr_0": ARRAY[:0]}, "holds no pixels"),
        ({"arr_0": ARRAY[:, :0]}, "holds no pixels"),
        ({"arr_0": ARRAY, "mu": np.zeros(2048)}, "has some of mu, sigma, mu_s, sigma_s, but no mu_s, sigma, sigma_s"),
        (
            {
                "arr_0": ARRAY,
                **{key: np.zeros(shape, np.float32) for key, shape in MOMENTS.items()},
                "mu": np.zeros(48),
            },
            "mu is float64 (48,), not floating point (2048,)",
        ),
    ],
)
def test_a_wrong_npz_is_refused_with_the_key(tmp_path, arrays, message):
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)
    assert refused(open_images, "npz", path).startswith(f"{path}: ")
    assert message in refused(open_images, "npz", path)


def test_moments_that_are_not_finite_are_refused(tmp_path):
    moments = {key: np.zeros(shape) for key, shape in MOMENTS.items()}
    moments["sigma_s"][3, 4] = np.nan
    np.savez(tmp_path / "x.npz", arr_0=ARRAY, **moments)
    assert "x.npz: sigma_s has NaN" in refused(open_images("npz", tmp_path / "x.npz").moments)


def test_a_damaged_npz_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    assert f"{path}: No such file" in refused(open_images, "npz", path)
    path.write_bytes(b"no archive")
    assert f"{path}: not a readable .npz" in refused(open_images, "npz", path)
    np.save(tmp_path / "y.npy", ARRAY)
    assert "y.npy: not a readable .npz" in refused(open_images, "npz", tmp_path / "y.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("arr_0.npy", b"no array")
    assert f"{path}: not a readable .npz" in refused(open_images, "npz", path)


def test_pixels_that_were_changed_in_an_npz_are_noticed(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, arr_0=ARRAY)
    content = bytearray(path.read_bytes())
    content[content.index(b"\n" + bytes(20)) + 40] ^= 1
    path.write_bytes(content)
    assert f"{path}: not a readable .npz (Bad CRC-32" in refused(read_all, "npz", path)


def test_an_npz_that_ends_early_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, ARRAY)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("arr_0.npy", buffer.getvalue()[:-5])
    assert "arr_0 ends within image 1 of 2" in refused(read_all, "npz", tmp_path / "x.npz")


# Preparing and batching


def test_a_wrong_size_is_named_by_its_index(dataset):
    images = open_images("folder", dataset("folder"))
    assert refused(next, read_prepared(images, 16, "none", 5)).startswith("image 5: 32x32 pixels, not 16x16")
    assert next(read_prepared(images, 16, "center", 5)).shape == (16, 16, 3)


def test_batches_hold_all_images_in_order():
    images = list(random_images(7, 8, 0))
    found = list(batches(iter(images), 3))
    assert [len(batch) for batch in found] == [3, 3, 1]
    assert np.array_equal(np.concatenate(found), np.stack(images))
    assert list(batches(iter([]), 3)) == []
    assert "are mixed" in refused(list, batches([images[0], images[1][:4]], 3))


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
