"""A repository, an address or an archive may name files outside the folder that they are put into: none is written."""

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from deepcache import DeepCacheError
from deepcache.data.archives import unpack
from deepcache.data.download import download_once
from deepcache.data.hub import download_repository
from tests.data.conftest import listed
from tests.data.server import COMMIT


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize("name", ["../evil", "../../evil", "unet/../../../evil", "/evil", "unet/../../evil"])
def test_a_repository_that_names_other_places(name, hub, tmp_path):
    name = f"{tmp_path}/evil" if name == "/evil" else name
    hub.files[hub.tree] = json.dumps([listed(name, b"evil", large=True)]).encode()
    for path in (f"/owner/name/resolve/{COMMIT}/{name}", f"/owner/name/resolve/{COMMIT}/evil"):
        hub.files[path] = b"evil"
    with pytest.raises(DeepCacheError, match=f"^owner/name at {COMMIT}: refused: '{name}' would lie outside") as raised:
        download_repository("owner/name", COMMIT, tmp_path / "deep/er/name")
    assert "\n" not in str(raised.value)
    assert [path for path in everything(tmp_path) if path.endswith("evil")] == []


@pytest.mark.parametrize("end", ["%2e%2e", "..", ".", "a%2f..", "a%00b", "%2e%2e?name=evil.bin"])
def test_an_address_that_names_no_file(end, server, tmp_path):
    with pytest.raises(DeepCacheError, match=r"names no file$"):
        download_once(f"{server.address}/{end}", tmp_path / "deep", {})
    assert server.requests == [] and everything(tmp_path) == set()


def test_an_address_that_climbs_names_its_last_part(server, tmp_path):
    server.files["/..%2F..%2Fevil.bin"] = b"good"
    file, origin = download_once(f"{server.address}/..%2f..%2fevil.bin", tmp_path / "deep", {})
    assert (file, origin["file"]) == (tmp_path / "deep/evil.bin", "evil.bin")
    assert everything(tmp_path) == {"deep", "deep/evil.bin"}


def test_a_checksum_is_not_of_another_place(server, tmp_path):
    with pytest.raises(DeepCacheError, match=r"names no file$"):
        download_once(f"{server.address}/123", tmp_path / "deep", {"../evil": "0" * 64})
    assert everything(tmp_path) == set()


def tar_of(path: Path, *members: tarfile.TarInfo, content: bytes = b"evil") -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            member.size = len(content) if member.isfile() else 0
            archive.addfile(member, io.BytesIO(content) if member.isfile() else None)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = kind, target, mode
    return found


@pytest.mark.parametrize(
    "members",
    [
        (member("link", tarfile.SYMTYPE, ".."), member("link/evil")),
        (member("link", tarfile.SYMTYPE, "../.."), member("link/evil")),
        (member("a", tarfile.SYMTYPE, "b"), member("b", tarfile.SYMTYPE, ".."), member("a/evil")),
        (member("evil", tarfile.LNKTYPE, "../secret"),),
        (member("evil", tarfile.LNKTYPE, "/etc/passwd"),),
        (member("evil", tarfile.FIFOTYPE),),
    ],
    ids=["link", "link further up", "link to a link", "hard link", "hard link by a whole name", "pipe"],
)
def test_links_out_of_an_archive(members, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/secret").write_text("secret", encoding="utf-8")
    archive = tar_of(tmp_path / "here/x.tar", *members)
    with pytest.raises(DeepCacheError, match=f"^{archive}: "):
        unpack(archive, tmp_path / "here/out")
    assert everything(tmp_path) == {"here", "here/secret", "here/x.tar"}


def test_whole_names_and_odd_rights_are_taken_inside(tmp_path):
    """As tar itself does: the leading slash goes; nobody gets rights that the umask or safety would not give."""
    evil = tmp_path / "evil"
    unpack(tar_of(tmp_path / "x.tar", member(str(evil), mode=0o4777)), tmp_path / "out")
    found = tmp_path / "out" / evil.relative_to("/")
    assert found.read_bytes() == b"evil" and not evil.exists()
    assert found.stat().st_mode & 0o7022 == 0


def test_a_link_in_a_zip_is_a_file(tmp_path):
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc")
    unpack(tmp_path / "x.zip", tmp_path / "out")
    assert not (tmp_path / "out/link").is_symlink()
    assert (tmp_path / "out/link").read_text(encoding="utf-8") == "/etc"
