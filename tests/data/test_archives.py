import io
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest

from deepcache import DeepCacheError
from deepcache.data import archives
from deepcache.data.archives import stem, unpack

FILES = {"data/a.txt": b"first" * 10_000, "data/deep/b.txt": b"", "c.txt": bytes(range(256)) * 100}
KINDS = ("zip", "tar", "tar.gz", "tgz")
Usage = namedtuple("Usage", "total used free")


def packed(path: Path, files: dict) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, content in files.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if member is not content:
                member.size = len(content)
            archive.addfile(member, None if member is content else io.BytesIO(content))
    return path


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive, folder):
    """The one line of the error, after which nothing is there."""
    with pytest.raises(DeepCacheError) as error:
        unpack(archive, folder)
    assert "\n" not in str(error.value)
    assert sorted(folder.parent.iterdir()) == [archive]
    return str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_all_files_come_out_and_progress_is_shown(tmp_path, kind, capsys):
    archive = packed(tmp_path / f"x.{kind}", FILES)
    unpack(archive, tmp_path / "out")
    assert contents(tmp_path / "out") == FILES
    assert f"unpack x.{kind}: 100%" in capsys.readouterr().err
    assert stem(archive) == "x"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["../evil.txt", "data/../../evil.txt"])
def test_nothing_leaves_the_folder(tmp_path, kind, name):
    (tmp_path / "here").mkdir()
    archive = packed(tmp_path / f"here/x.{kind}", {"good.txt": b"1", name: b"2"})
    message = refused(archive, tmp_path / "here/out")
    assert message.startswith(f"{archive}: refused: ")
    assert "evil.txt" in message
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_an_absolute_name_in_a_zip_is_refused(tmp_path):
    archive = packed(tmp_path / "x.zip", {str(tmp_path / "evil.txt"): b"2"})
    assert "would lie outside" in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside"])
def test_a_link_out_of_the_folder_is_refused(tmp_path, target):
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, target
    assert "refused: " in refused(packed(tmp_path / "x.tar", {"link": link}), tmp_path / "out")


def test_a_device_is_refused(tmp_path):
    device = tarfile.TarInfo("null")
    device.type = tarfile.CHRTYPE
    assert "refused: 'null'" in refused(packed(tmp_path / "x.tgz", {"null": device}), tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_cut_off_archive_is_refused(tmp_path, kind, share):
    archive = packed(tmp_path / f"x.{kind}", FILES)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    assert "x." in refused(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
def test_another_file_is_refused(tmp_path, kind):
    (tmp_path / f"x.{kind}").write_bytes(b"<html>404</html>" * 100)
    assert f"x.{kind}: not a whole archive" in refused(tmp_path / f"x.{kind}", tmp_path / "out")


def test_other_suffixes_are_refused(tmp_path):
    (tmp_path / "x.rar").write_bytes(b"")
    assert "not an archive that can be unpacked (.zip, .tar, .tar.gz, .tgz)" in refused(
        tmp_path / "x.rar", tmp_path / "out"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_noticed_before(tmp_path, kind, monkeypatch):
    archive = packed(tmp_path / f"x.{kind}", FILES)
    free = archives.check_space.__globals__["MARGIN"] + 10_000
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(10**12, 0, free))
    assert "make room" in refused(archive, tmp_path / "out")
