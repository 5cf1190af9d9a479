import numpy as np
import pytest

from deepcache.quality.partial import Partial

KEY = {"dataset": "digits", "images": 10, "weights": {"a": "1"}}
STATE = {"sum": np.arange(3.0), "position": np.array(7)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep/state"


def test_the_state_comes_back_for_the_same_key(path):
    assert Partial(path, KEY).load() is None
    Partial(path, KEY).save(STATE)
    found = Partial(path, KEY).load()
    assert found.keys() == STATE.keys()
    assert all(np.array_equal(found[name], STATE[name]) for name in STATE)
    assert list(path.parent.iterdir()) == [path]
    Partial(path, KEY).discard()
    assert not path.exists()
    Partial(path, KEY).discard()


def test_another_key_starts_anew_and_says_why(path, capsys):
    Partial(path, KEY).save(STATE)
    assert Partial(path, {**KEY, "images": 11, "crop": "none"}).load() is None
    assert capsys.readouterr().err == f"{path}: made with another crop, images: starting anew\n"


@pytest.mark.parametrize("content", [b"", b"no state", None])
def test_a_damaged_state_starts_anew(path, capsys, content):
    Partial(path, KEY).save(STATE)
    if content is None:
        np.savez(path.with_suffix(".npz"), a=1)
        path.with_suffix(".npz").replace(path)
    else:
        path.write_bytes(content)
    assert Partial(path, KEY).load() is None
    message = capsys.readouterr().err
    assert message.startswith(f"{path}: not readable (")
    assert message.count("\n") == 1


def test_it_is_due_after_some_time(path):
    assert not Partial(path, KEY).due()
    assert Partial(path, KEY, every=0).due()
    slow = Partial(path, KEY, every=60)
    slow._written -= 61
    assert slow.due()
    slow.save(STATE)
    assert not slow.due()
