"""LMDB, as LSUN's."""

import numpy as np

from deepcache.data.datasets import open_images
from tests.data.reading import encoded, failure, read_all


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
    message = failure(read_all, "lmdb", path)
    assert message.startswith(f"{path}: key \\xffkey: not readable as an image (no known image format)")


def test_a_wrong_lmdb_is_refused(dataset, tmp_path):
    assert "holds no data.mdb" in failure(open_images, "lmdb", tmp_path)
    assert "holds no images" in failure(open_images, "lmdb", lmdb_with(tmp_path / "empty", {}))
    path = dataset("lmdb")
    whole = (path / "data.mdb").read_bytes()
    (path / "data.mdb").write_bytes(whole[: len(whole) // 2 // 4096 * 4096])
    assert "data.mdb: cut off after" in failure(open_images, "lmdb", path)
    (path / "data.mdb").write_bytes(b"no database" * 1000)
    assert "data.mdb: not a readable database" in failure(open_images, "lmdb", path)
