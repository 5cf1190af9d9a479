import errno
import hashlib
import os
import socket
import subprocess
import sys

import pytest

from deepcache import DeepCacheError
from deepcache.files import atomic, check_replaceable, sha256, write_json


def test_file_appears_whole_and_alone(tmp_path):
    with atomic(tmp_path / "deep" / "file.csv") as temporary:
        temporary.write_text("whole", encoding="utf-8")
        assert temporary.suffix == ".csv"
        assert not (tmp_path / "deep" / "file.csv").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file.csv"]


def test_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "file.csv").write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError), atomic(tmp_path / "file.csv") as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise RuntimeError
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["old"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    dead, living, here = done.pid, os.getppid(), socket.gethostname()
    left = f".file.{here}-{dead}.partial.csv"
    others = [
        f".file.{here}-{living}.partial.csv",
        f".file.elsewhere-{dead}.partial.csv",
        f".other.{here}-{dead}.partial.csv",
    ]
    for name in (left, *others):
        (tmp_path / name).touch()
    with atomic(tmp_path / "file.csv") as temporary:
        temporary.touch()
    assert {path.name for path in tmp_path.iterdir()} == {"file.csv", *others}


def test_a_failure_to_write_names_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as caught, atomic(tmp_path / "file.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "file.csv")


def test_folders_too(tmp_path):
    for content in ("first", "second"):
        with atomic(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    with pytest.raises(RuntimeError), atomic(tmp_path / "folder") as temporary:
        temporary.mkdir()
        raise RuntimeError
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "second"]


def test_only_folders_of_the_same_kind_are_replaceable(tmp_path):
    check_replaceable(tmp_path / "missing", "training.json")
    check_replaceable(tmp_path, "training.json")
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DeepCacheError, match=r"holds no training\.json, so it is not replaced"):
        check_replaceable(tmp_path, "training.json")
    with pytest.raises(DeepCacheError, match="not replaced"):
        check_replaceable(tmp_path / "thesis.tex", "training.json")
    (tmp_path / "training.json").touch()
    check_replaceable(tmp_path, "training.json")


def test_no_nan_in_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"fid": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"digits")
    assert sha256(tmp_path / "file") == hashlib.sha256(b"digits").hexdigest()
