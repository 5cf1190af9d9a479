"""CIFAR-10 as it is published; code in a pickle is not run."""

import os
import pickle

import numpy as np
import pytest

from deepcache.data.datasets import open_images
from tests.data.reading import failure, read_all


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
    message = failure(open_images, "cifar10", path)
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
    assert f"{path / 'data_batch_2'}: not a batch of CIFAR-10" in failure(open_images, "cifar10", path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04", None])
def test_a_damaged_or_missing_batch_is_named(dataset, content):
    path = dataset("cifar10")
    batch = path / "data_batch_4"
    batch.unlink()
    if content is not None:
        batch.write_bytes(content)
    assert failure(open_images, "cifar10", path).startswith(f"{batch}: ")
    assert "data_batch_1 to data_batch_5" in failure(open_images, "cifar10", path / "nowhere")
