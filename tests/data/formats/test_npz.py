"""ADM's reference batches: pixels and moments in an npz."""

import io
import zipfile

import numpy as np
import pytest

from deepcache.data.datasets import open_images
from deepcache.data.formats.npz import MOMENTS
from deepcache.data.random_datasets import random_images, write_npz
from tests.data.reading import failure, read_all


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
    assert failure(open_images, "npz", path).startswith(f"{path}: ")
    assert message in failure(open_images, "npz", path)


def test_moments_that_are_not_finite_are_refused(tmp_path):
    moments = {key: np.zeros(shape) for key, shape in MOMENTS.items()}
    moments["sigma_s"][3, 4] = np.nan
    np.savez(tmp_path / "x.npz", arr_0=ARRAY, **moments)
    assert "x.npz: sigma_s has NaN" in failure(open_images("npz", tmp_path / "x.npz").moments)


def test_a_damaged_npz_is_refused(tmp_path):
    path = tmp_path / "x.npz"
    assert f"{path}: No such file" in failure(open_images, "npz", path)
    path.write_bytes(b"no archive")
    assert f"{path}: not a readable .npz" in failure(open_images, "npz", path)
    np.save(tmp_path / "y.npy", ARRAY)
    assert "y.npy: not a readable .npz" in failure(open_images, "npz", tmp_path / "y.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("arr_0.npy", b"no array")
    assert f"{path}: not a readable .npz" in failure(open_images, "npz", path)


def test_pixels_that_were_changed_in_an_npz_are_noticed(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, arr_0=ARRAY)
    content = bytearray(path.read_bytes())
    content[content.index(b"\n" + bytes(20)) + 40] ^= 1
    path.write_bytes(content)
    assert f"{path}: not a readable .npz (Bad CRC-32" in failure(read_all, "npz", path)


def test_an_npz_that_ends_early_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, ARRAY)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("arr_0.npy", buffer.getvalue()[:-5])
    assert "arr_0 ends within image 1 of 2" in failure(read_all, "npz", tmp_path / "x.npz")
