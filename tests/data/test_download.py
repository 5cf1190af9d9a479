"""Downloads from a server on this machine that fails as told."""

import errno
import hashlib
import json
import os
import re
import shutil
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from deepcache.data import transfer
from deepcache.data.backoff import Backoff
from deepcache.data.checksum import Checksum
from deepcache.data.disk import MARGIN
from deepcache.data.download import download, download_once
from deepcache.errors import DeepCacheError
from tests.data.reading import failure
from tests.data.server import CONTENT, DIGEST, OTHER, Break, Handler, Reply, Stall, Usage, is_alone

MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def fetch(server, tmp_path, waits):
    """Download the file without really waiting; returns where it is to lie."""
    path = tmp_path / "deep" / "file.bin"

    def fetch(sha256=DIGEST, url=server.url, attempts=4, **options):
        download(url, path, sha256, backoff=Backoff(attempts=attempts, sleep=waits.append), **options)

    fetch.path = path
    fetch.partial = path.with_name("file.bin.partial")
    return fetch


def break_off(server, fetch, after=200_000):
    """Leave a part of the file, as a killed process does."""
    server.troubles["/file.bin"] = [Break(after)]
    failure(fetch, attempts=1)
    assert fetch.partial.stat().st_size == after
    assert not fetch.path.exists()
    server.requests.clear()


@pytest.mark.parametrize("sha256", [None, DIGEST, DIGEST.upper(), MD5])
def test_a_file_arrives_whole_and_alone(server, fetch, waits, sha256, capsys):
    fetch(sha256)
    assert is_alone(fetch.path)
    assert waits == []
    assert len(server.requests) == 1
    assert re.search(r"file\.bin: 100%.* 300k/300k \[.*B/s\]", capsys.readouterr().err)


def test_an_empty_file_arrives(server, fetch):
    server.files["/file.bin"] = b""
    fetch(None)
    assert fetch.path.read_bytes() == b""


def test_a_right_file_is_not_asked_for_again(server, fetch):
    fetch.path.parent.mkdir()
    fetch.path.write_bytes(CONTENT)
    fetch()
    assert server.requests == []


def test_another_file_is_replaced(server, fetch):
    fetch.path.parent.mkdir()
    fetch.path.write_bytes(OTHER)
    fetch()
    assert is_alone(fetch.path)


def test_only_the_rest_is_sent_within_one_call(server, fetch, waits, capsys):
    server.troubles["/file.bin"] = [Break(100_000), Break(150_000)]
    fetch()
    assert is_alone(fetch.path)
    assert [r["sent"] for r in server.requests] == [100_000, 150_000, 50_000]
    assert waits == [1, 1], "the second try came further, so the count began anew"
    assert "broken after 100000 of 300000 bytes; attempt 2 of 4 in 1 s" in capsys.readouterr().err


def test_only_the_rest_is_sent_in_the_next_call(server, fetch, capsys):
    break_off(server, fetch)
    capsys.readouterr()
    fetch()
    assert is_alone(fetch.path)
    assert capsys.readouterr().err.startswith("file.bin:  67%"), "the bar starts with what is here"
    assert [r["sent"] for r in server.requests] == [100_000]
    assert server.requests[0]["headers"]["Range"] == "bytes=200000-"


def test_a_last_modified_date_serves_where_there_is_no_strong_tag(server, fetch):
    server.headers = {"ETag": 'W/"weak"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}
    server.tags = False
    break_off(server, fetch)
    fetch()
    assert server.requests[0]["headers"]["If-Range"] == "Wed, 01 Jan 2025 00:00:00 GMT"
    assert is_alone(fetch.path)


def test_a_file_that_changed_is_sent_whole(server, fetch):
    server.files["/file.bin"] = OTHER
    server.troubles["/file.bin"] = [Break(200_000)]
    failure(fetch, attempts=1)
    server.files["/file.bin"] = CONTENT
    fetch()
    assert is_alone(fetch.path)
    assert [r["sent"] for r in server.requests] == [200_000, 300_000]


@pytest.mark.parametrize("before", [OTHER, OTHER + b"more", OTHER[:250_000]])
def test_a_changed_file_is_noticed_though_the_server_ignores_if_range(server, fetch, before):
    server.if_range = False
    server.files["/file.bin"] = before
    server.troubles["/file.bin"] = [Break(200_000)]
    failure(fetch, attempts=1)
    server.files["/file.bin"] = CONTENT
    fetch(None)
    assert is_alone(fetch.path)


def test_a_part_of_a_file_of_another_length_is_not_used(server, fetch):
    server.files["/file.bin"] = CONTENT + b"more"
    break_off(server, fetch)
    server.files["/file.bin"] = CONTENT
    server.if_range = server.tags = False
    fetch(None)
    assert is_alone(fetch.path)
    assert [r["headers"]["Range"] for r in server.requests] == ["bytes=200000-", None]


def test_a_range_behind_the_end_starts_over(server, fetch, waits):
    break_off(server, fetch)
    server.troubles["/file.bin"] = [Reply(416, {"Content-Range": "bytes */1000"})]
    fetch()
    assert is_alone(fetch.path)
    assert "Range" not in server.requests[-1]["headers"]


def test_a_server_that_ignores_range_sends_all(server, fetch):
    server.ranges = False
    break_off(server, fetch)
    fetch()
    assert is_alone(fetch.path)
    assert [r["sent"] for r in server.requests] == [300_000]


@pytest.mark.parametrize("spoil", ["", "{}", '{"other": 1}', None, "url"])
def test_a_part_of_unknown_origin_is_not_used(server, fetch, spoil):
    break_off(server, fetch)
    sidecar = fetch.partial.with_name("file.bin.partial.json")
    if spoil is None:
        sidecar.unlink()
    elif spoil == "url":
        sidecar.write_text(
            json.dumps(json.loads(sidecar.read_text(encoding="utf-8")) | {"url": "http://elsewhere/file.bin"}),
            encoding="utf-8",
        )
    else:
        sidecar.write_text(spoil, encoding="utf-8")
    fetch()
    assert is_alone(fetch.path)
    assert "Range" not in server.requests[0]["headers"]


def test_a_whole_part_needs_no_request(server, fetch):
    break_off(server, fetch)
    fetch.partial.write_bytes(CONTENT)
    fetch()
    assert is_alone(fetch.path)
    assert server.requests == []


def test_a_part_longer_than_the_file_is_not_used(server, fetch):
    break_off(server, fetch)
    fetch.partial.write_bytes(CONTENT + b"x")
    fetch()
    assert is_alone(fetch.path)


def test_a_body_that_always_ends_early_is_given_up(server, fetch, waits):
    server.tags = server.ranges = False
    server.troubles["/file.bin"] = [Break(120_000)] * 9
    message = failure(fetch)
    assert message.startswith(f"{server.url}: connection broken after 120000 of 300000 bytes; gave up after 4 attempts")
    assert waits == [1, 2, 4]
    assert [r["sent"] for r in server.requests] == [120_000] * 4
    assert not fetch.path.exists()


def test_a_body_of_unstated_length_needs_a_checksum(server, fetch):
    server.lengths = False
    assert "does not say how long the file is: give its SHA-256" in failure(fetch, None)
    fetch()
    assert is_alone(fetch.path)


def test_a_wrong_file_is_set_aside_with_both_checksums(server, fetch):
    server.files["/file.bin"] = OTHER
    found = hashlib.sha256(OTHER).hexdigest()
    aside = fetch.path.with_name("file.bin.wrong-sha256")
    assert failure(fetch) == f"{server.url}: expected SHA-256 {DIGEST}, found {found}; the file is set aside as {aside}"
    assert aside.read_bytes() == OTHER
    assert list(fetch.path.parent.iterdir()) == [aside]


def test_a_file_with_another_md5_is_set_aside(server, fetch):
    server.files["/file.bin"] = OTHER
    aside = fetch.path.with_name("file.bin.wrong-md5")
    found = hashlib.md5(OTHER).hexdigest()
    expected = f"{server.url}: expected MD5 {MD5[4:]}, found {found}; the file is set aside as {aside}"
    assert failure(fetch, MD5) == expected


@pytest.mark.parametrize("text", ["1234567", "md5:1fa350b9", "sha1:" + "0" * 40, "xyz", "md5:" + "g" * 32])
def test_what_is_no_checksum_is_refused(text):
    with pytest.raises(DeepCacheError, match=r"is not a (SHA-256|MD5): "):
        Checksum.parse(text)


def test_a_file_that_the_address_does_not_name_takes_the_name_of_its_checksum(server, tmp_path):
    server.files["/f/2e4f01e2/"] = CONTENT
    url = server.url.replace("/file.bin", "/f/2e4f01e2/?dl=1")
    file, origin = download_once(url, tmp_path, {"model.ckpt": MD5})
    assert file == tmp_path / "model.ckpt" and file.read_bytes() == CONTENT
    assert origin["file"] == "model.ckpt" and origin["file_sha256"] == DIGEST


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_client_error_is_final(server, fetch, waits, status):
    server.troubles["/file.bin"] = [Reply(status)]
    assert f"{server.url}: the server answers {status}" in failure(fetch)
    assert len(server.requests) == 1
    assert waits == []
    assert list(fetch.path.parent.iterdir()) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, fetch, waits, status):
    server.troubles["/file.bin"] = [Reply(status), Reply(status)]
    fetch()
    assert is_alone(fetch.path)
    assert waits == [1, 2]


def test_a_server_that_stays_busy_is_given_up(server, fetch, waits):
    server.troubles["/file.bin"] = [Reply(503)] * 9
    assert "the server answers 503 Service Unavailable; gave up after 4 attempts" in failure(fetch)
    assert len(server.requests) == 4


@pytest.mark.parametrize(("asked", "waited"), [("7", 7), ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("soon", 1)])
def test_retry_after_is_honoured(server, fetch, waits, asked, waited):
    server.troubles["/file.bin"] = [Reply(429, {"Retry-After": asked})]
    fetch()
    assert waits == [waited]


def test_retry_after_hours_is_not_waited_for(server, fetch, waits):
    server.troubles["/file.bin"] = [Reply(503, {"Retry-After": "7200"})]
    assert "asks to wait 7200 s" in failure(fetch)
    assert waits == []


def test_waits_grow_up_to_a_limit(waits):
    backoff = Backoff(attempts=6, first=2, longest=9, sleep=waits.append)
    for failures in range(1, 6):
        backoff.wait("name", "reason", failures)
    assert waits == [2, 4, 8, 9, 9]
    assert "gave up after 6" in failure(backoff.wait, "name", "reason", 6)


def test_silence_times_out_and_the_rest_is_asked_for(server, fetch, monkeypatch, capsys):
    monkeypatch.setattr(transfer, "CHUNK", 10_000)
    server.troubles["/file.bin"] = [Stall(100_000)]
    fetch(timeout=(1, 0.1))
    assert is_alone(fetch.path)
    assert [r["sent"] for r in server.requests] == [100_000, 200_000]
    assert "timed out after 100000 of 300000 bytes" in capsys.readouterr().err


def test_no_connection_is_one_line_with_the_reason(fetch, waits):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_port
    message = failure(fetch, url=f"http://127.0.0.1:{port}/file.bin")
    assert message.startswith(f"http://127.0.0.1:{port}/file.bin: connection failed (Connection refused); gave up")
    assert waits == [1, 2, 4]


def test_credentials_are_neither_printed_nor_stored(server, fetch, tmp_path, capsys):
    server.troubles["/file.bin"] = [Reply(503), Break(1000), Reply(404)]
    url = server.url.replace("http://", "http://user:secret@") + "?token=secret"
    message = failure(fetch, url=url)
    stored = fetch.partial.with_name("file.bin.partial.json").read_text(encoding="utf-8")
    assert server.requests[0]["headers"]["Authorization"].startswith("Basic ")
    assert server.url in message
    assert "secret" not in message + stored + capsys.readouterr().err
    closed = failure(fetch, url=url.replace(str(server.server_port), "1"), attempts=1)
    assert "secret" not in closed


@pytest.mark.parametrize("url", ["ftp://host/file", "file.bin", "http://", "http://[::1/file"])
def test_other_addresses_are_refused(fetch, url):
    assert re.search("not an http or https address|Invalid IPv6 URL: correct the address", failure(fetch, url=url))


def test_a_digest_that_is_none_is_refused_before_anything_is_sent(server, fetch):
    assert "64 hexadecimal digits" in failure(fetch, "abc")
    assert server.requests == []


def test_redirects_without_end_are_refused(server, fetch):
    server.troubles["/file.bin"] = [Reply(302, {"Location": server.url})] * 99
    assert "redirected too often" in failure(fetch)


def test_a_disk_with_too_little_room_is_refused_before_writing(server, fetch, monkeypatch):
    free = MARGIN + len(CONTENT) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))
    assert "300kB to download and 100MB to spare, but 100MB are free" in failure(fetch)
    assert list(fetch.path.parent.iterdir()) == []
    free += 1
    fetch()
    assert is_alone(fetch.path)


def test_what_is_here_already_needs_no_room(server, fetch, monkeypatch):
    break_off(server, fetch)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, MARGIN + 100_000))
    fetch()
    assert is_alone(fetch.path)


class FullDisk:
    """A file that takes some bytes and then no more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.file.write(data[: self.room])
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def test_a_disk_that_fills_up_keeps_the_part_and_shows_no_file(server, fetch, monkeypatch):
    opened = Path.open

    def on_a_small_disk(path, *arguments, **options):
        file = opened(path, *arguments, **options)
        return FullDisk(file, 123_456) if path == fetch.partial else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", on_a_small_disk)
        assert failure(fetch) == (
            f"{fetch.path}: the disk is full: make room and run again; what has arrived so far is kept"
        )
    assert not fetch.path.exists()
    assert len(server.requests) == 1, "a full disk is not tried again"
    assert fetch.partial.read_bytes() == CONTENT[:123_456]
    fetch()
    assert is_alone(fetch.path)
    assert server.requests[-1]["sent"] == len(CONTENT) - 123_456
