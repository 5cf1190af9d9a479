"""Downloads from a server on this machine that fails as told."""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import close_session, constants

from deepcache import DeepCacheError
from deepcache.data import download as downloads
from deepcache.data.download import Backoff, download
from deepcache.data.hub import download_repository, resolve_revision

ROOT = Path(__file__).resolve().parents[2]
CONTENT = bytes(i * i % 251 for i in range(300_000))
OTHER = CONTENT[::-1]
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_do_not_print_this"
Usage = namedtuple("Usage", "total used free")


@dataclass
class Reply:
    """An answer that is given instead of the file."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Break:
    """The right answer, but the connection ends after some bytes of it."""

    after: int


class Stall(Break):
    """As Break, but the connection stays open and silent until the test ends."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 10

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.answer(head=True)

    def do_GET(self):
        self.answer()

    def answer(self, head=False):
        server, path = self.server, self.path.partition("?")[0]
        self.record = {"method": self.command, "path": path, "headers": self.headers, "sent": 0}
        server.requests.append(self.record)
        troubles = server.troubles.get(path, [])
        trouble = troubles.pop(0) if troubles and not head else None
        if isinstance(trouble, Reply) or path not in server.files:
            trouble = trouble or server.refusal
            self.send(
                trouble.status, {"Content-Length": "6", "Connection": "close", **trouble.headers}, b"error\n", head
            )
            return
        self.file(server.files[path], trouble, head)

    def file(self, content, trouble, head):
        tag = f'"{hashlib.sha1(content).hexdigest()}"'
        headers = {"ETag": tag} if self.server.tags else {}
        headers |= self.server.headers | self.server.extra.get(self.path, {})
        status, wanted = 200, self.headers.get("Range")
        if wanted and self.server.ranges and (not self.server.if_range or self.headers.get("If-Range") == tag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            status, content = 206, content[start:]
        if self.server.lengths:
            headers["Content-Length"] = str(len(content))
        else:
            self.close_connection = True
        self.send(status, headers, content, head, trouble)

    def send(self, status, headers, body, head, trouble=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if head:
            return
        body = body if trouble is None else body[: trouble.after]
        self.record["sent"] = len(body)
        self.wfile.write(body)
        if trouble is not None:
            self.close_connection = True
        if isinstance(trouble, Stall):
            self.wfile.flush()
            self.server.over.wait(10)


class Server(ThreadingHTTPServer):
    """Its threads end with the test; it says nothing where a client hangs up."""

    daemon_threads = False

    def handle_error(self, *arguments):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*arguments)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(("127.0.0.1", 0), Handler)
    server.files, server.troubles, server.requests = {"/file.bin": CONTENT}, {}, []
    server.extra, server.refusal = {}, Reply(404)
    server.ranges = server.if_range = server.tags = server.lengths = True
    server.headers = {}
    server.over = threading.Event()
    server.address = f"http://127.0.0.1:{server.server_port}"
    server.url = f"{server.address}/file.bin"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def waits():
    """The seconds that were waited, in order."""
    return []


@pytest.fixture
def fetch(server, tmp_path, waits):
    """Download the file without really waiting; returns where it is to lie."""
    path = tmp_path / "deep" / "file.bin"

    def fetch(sha256=DIGEST, url=server.url, attempts=4, **options):
        download(url, path, sha256, backoff=Backoff(attempts=attempts, sleep=waits.append), **options)

    fetch.path = path
    fetch.partial = path.with_name("file.bin.partial")
    return fetch


def failure(function, *arguments, **options):
    """The one line of the error that a call ends with."""
    with pytest.raises(DeepCacheError) as error:
        function(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def is_alone(path):
    """Whether the file is there, right, and nothing else beside it."""
    return path.read_bytes() == CONTENT and list(path.parent.iterdir()) == [path]


def break_off(server, fetch, after=200_000):
    """Leave a part of the file, as a killed process does."""
    server.troubles["/file.bin"] = [Break(after)]
    failure(fetch, attempts=1)
    assert fetch.partial.stat().st_size == after
    assert not fetch.path.exists()
    server.requests.clear()


@pytest.mark.parametrize("sha256", [None, DIGEST, DIGEST.upper()])
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
        sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"url": "http://elsewhere/file.bin"}))
    else:
        sidecar.write_text(spoil)
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
    monkeypatch.setattr(downloads, "CHUNK", 10_000)
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
    stored = fetch.partial.with_name("file.bin.partial.json").read_text()
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
    free = downloads.MARGIN + len(CONTENT) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free))
    assert "300kB to download and 100MB to spare, but 100MB are free" in failure(fetch)
    assert list(fetch.path.parent.iterdir()) == []
    free += 1
    fetch()
    assert is_alone(fetch.path)


def test_what_is_here_already_needs_no_room(server, fetch, monkeypatch):
    break_off(server, fetch)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, downloads.MARGIN + 100_000))
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


FILES = {"model_index.json": b"{}", "unet/weights.safetensors": CONTENT, "vae/weights.safetensors": b"vae"}


def listed(path, content, large):
    """A file as the hub's listing of a commit has it."""
    size, checksum = len(content), hashlib.sha256(content).hexdigest()
    blob = hashlib.sha1(b"blob %d\0" % size + content).hexdigest()
    entry = {"type": "file", "path": path, "size": size, "oid": blob}
    return entry | ({"lfs": {"oid": checksum, "size": size, "pointerSize": 130}} if large else {})


@pytest.fixture
def hub(server, monkeypatch):
    """The server as a hub with one repository, owner/name."""
    entries = [listed(path, content, path.endswith(".safetensors")) for path, content in FILES.items()]
    entries.append({"type": "directory", "path": "unet", "oid": "0" * 40})
    server.tree = f"/api/models/owner/name/tree/{COMMIT}"
    server.files = {server.tree: json.dumps(entries).encode()}
    server.extra = {}
    for entry in entries[:-1]:
        address = f"/owner/name/resolve/{COMMIT}/{entry['path']}"
        server.files[address] = FILES[entry["path"]]
        tag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        server.extra[address] = {"X-Repo-Commit": COMMIT, "ETag": f'"{tag}"'}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    server.weights = f"/owner/name/resolve/{COMMIT}/unet/weights.safetensors"
    yield server
    close_session()  # its connections are kept alive, and the server waits for their ends


@pytest.fixture
def clone(hub, tmp_path, waits):
    """Download the repository; returns where it is to lie."""
    folder = tmp_path / "deep" / "name"

    def clone(patterns=None, revision=COMMIT, repository="owner/name"):
        download_repository(repository, revision, folder, patterns, backoff=Backoff(attempts=3, sleep=waits.append))

    clone.folder = folder
    clone.partial = folder.with_name(f"name.{COMMIT[:8]}.partial")
    return clone


def contents(folder):
    """The files of a folder, without the library's own notes."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if not name.startswith(".cache/")}


def sent(server):
    """The files of the repository whose bytes went over the line."""
    return sorted(
        r["path"].partition(f"/{COMMIT}/")[2] for r in server.requests if r["sent"] and "resolve" in r["path"]
    )


def test_a_repository_arrives_whole(hub, clone, capsys):
    clone()
    assert contents(clone.folder) == FILES
    assert not clone.partial.exists()
    assert "owner/name: 100%" in capsys.readouterr().err
    assert {r["headers"]["Authorization"] for r in hub.requests if "owner" in r["path"]} == {f"Bearer {TOKEN}"}


def test_only_files_that_match_are_sent(hub, clone):
    clone(["unet/*", "*.json"])
    assert contents(clone.folder) == {name: FILES[name] for name in ("model_index.json", "unet/weights.safetensors")}
    assert sent(hub) == ["model_index.json", "unet/weights.safetensors"]


def test_a_whole_repository_needs_no_connection(hub, clone):
    clone()
    hub.requests.clear()
    clone()
    clone(["unet/*"])
    assert hub.requests == []


@pytest.mark.parametrize("patterns", [["*.bin"], []])
def test_patterns_that_match_nothing_are_refused(clone, patterns):
    assert "has no file that matches" in failure(clone, patterns)


def test_a_folder_with_other_files_is_left_alone(hub, clone):
    clone(["unet/*"])
    assert "does not hold (all of) owner/name" in failure(clone)
    assert list(contents(clone.folder)) == ["unet/weights.safetensors"]


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper(), f"{COMMIT}\n"])
def test_a_revision_that_may_move_is_refused(hub, clone, revision):
    assert "is no commit: give 40 hexadecimal digits" in failure(clone, revision=revision)
    assert hub.requests == []


def test_a_branch_is_resolved_once(hub, tmp_path):
    folder = tmp_path / "deep" / "name"
    address = "/api/models/owner/name/revision/main"
    hub.files[address] = json.dumps({"id": "owner/name", "sha": COMMIT}).encode()
    assert resolve_revision("owner/name", COMMIT, folder) == COMMIT
    assert hub.requests == [], "a commit needs no resolving"
    assert resolve_revision("owner/name", "main", folder) == COMMIT
    hub.files[address] = json.dumps({"id": "owner/name", "sha": "f" * 40}).encode()
    assert resolve_revision("owner/name", "main", folder) == COMMIT, "the branch may move, the run does not"
    with pytest.raises(DeepCacheError, match=r"^owner/name at v2: the hub answers 404"):
        resolve_revision("owner/name", "v2", folder)
    assert resolve_revision("owner/name", "main", folder) == COMMIT


def test_files_that_arrived_are_not_sent_again(hub, clone):
    whole = hub.files.pop(hub.weights)
    assert "the hub answers 404" in failure(clone)
    assert not clone.folder.exists()
    hub.files[hub.weights] = whole
    hub.requests.clear()
    clone()
    assert contents(clone.folder) == FILES
    assert "unet/weights.safetensors" in sent(hub)
    assert len(sent(hub)) < 3


def test_a_broken_transfer_goes_on_without_quoting_addresses(hub, clone, caplog, monkeypatch):
    library = logging.getLogger("huggingface_hub")
    monkeypatch.setattr(library, "propagate", True)
    hub.troubles = {hub.weights: [Break(100_000)]}
    clone()
    assert contents(clone.folder) == FILES
    assert hub.address not in caplog.text
    assert library.level <= logging.WARNING, "and is as talkative as before"


def test_a_busy_hub_is_asked_again(hub, clone, waits, capsys):
    hub.troubles = {hub.weights: [Reply(503), Reply(503)]}
    clone()
    assert contents(clone.folder) == FILES
    assert waits == [1, 2]
    assert "the hub answers 503; attempt 2 of 3 in 1 s" in capsys.readouterr().err


def test_a_hub_that_stays_busy_is_given_up(hub, clone, waits):
    hub.troubles = {hub.weights: [Reply(503)] * 9}
    assert f"owner/name at {COMMIT}: the hub answers 503; gave up after 3 attempts" in failure(clone)
    assert not clone.folder.exists()


def test_a_file_with_another_checksum_is_refused_and_sent_again(hub, clone):
    hub.files[hub.weights] = OTHER
    message = failure(clone)
    assert "wrong or missing unet/weights.safetensors (expected sha256 " in message
    assert DIGEST in message
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert not clone.folder.exists()
    hub.files[hub.weights] = CONTENT
    clone()
    assert contents(clone.folder) == FILES


def test_a_hub_that_falls_silent_does_not_make_a_part_look_whole(hub, clone):
    clone.partial.mkdir(parents=True)
    (clone.partial / "model_index.json").write_bytes(FILES["model_index.json"])
    hub.troubles = {hub.tree: [None] + [Reply(500)] * 6}
    assert "wrong or missing unet/weights.safetensors, vae/weights.safetensors: run again" in failure(clone)
    assert not clone.folder.exists()


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (Reply(404, {"X-Error-Code": "RepoNotFound"}), "404, there is no such repository or file: check the name"),
        (Reply(404, {"X-Error-Code": "RevisionNotFound"}), "no such commit: correct the revision"),
        (Reply(401), "401, there is no such repository or it is private: check the name, set HF_TOKEN"),
        (Reply(403), "403, there is no such repository or it is private: check the name, set HF_TOKEN"),
        (Reply(403, {"X-Error-Code": "GatedRepo"}), "accept the conditions on its page and set HF_TOKEN"),
        (Reply(500), "the hub answers 500: try again later"),
    ],
)
def test_a_refusal_says_what_to_do(hub, clone, refusal, message):
    hub.files, hub.refusal = {}, refusal
    error = failure(clone)
    assert error.startswith(f"owner/name at {COMMIT}: ")
    assert message in error
    assert error.endswith("or use `source: local` with a folder that holds the files")
    assert TOKEN not in error


def test_an_unreachable_hub_is_named(clone, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{closed.server_port}")
    assert f"no connection to {constants.ENDPOINT}: check the network and HF_ENDPOINT" in failure(clone)


def test_a_name_that_is_none_is_refused(clone):
    assert "write owner/name" in failure(clone, repository="a/b/c")


def test_a_repository_that_does_not_fit_is_refused(hub, clone, monkeypatch):
    need = downloads.MARGIN + sum(map(len, FILES.values()))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, need - 1))
    assert "300kB to download" in failure(clone)
    assert sent(hub) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, need))
    clone()
    assert contents(clone.folder) == FILES


def test_a_full_disk_is_one_line(clone, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert "the disk is full: make room and run again" in failure(clone)
    assert not clone.folder.exists()


def test_a_failed_transfer_is_one_line_without_the_address(clone, monkeypatch):
    def broken(*arguments, **options):
        raise RuntimeError("https://host/file?signature=secret:\nrefused")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", broken)
    message = failure(clone)
    assert "the transfer failed: run again, with HF_HUB_DISABLE_XET=1" in message
    assert "secret" not in message


def program(*arguments, **environment):
    """Run the script; returns exit status and stderr."""
    command = [sys.executable, str(ROOT / "workflow/scripts/download.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    return done.returncode, done.stderr


def test_the_program_downloads_a_file(server, tmp_path):
    arguments = ("--url", server.url, "--output", tmp_path / "file.bin")
    assert program(*arguments, "--sha256", DIGEST)[0] == 0
    assert is_alone(tmp_path / "file.bin")
    server.files["/file.bin"] = OTHER
    status, error = program(*arguments, "--sha256", "0" * 64)
    assert status == 1
    assert error.splitlines()[-1].startswith(f"error: {server.url}: expected SHA-256 {'0' * 64}, found ")


def test_the_program_downloads_a_repository_as_the_environment_says(hub, tmp_path):
    arguments = ("--repository", "owner/name", "--revision", COMMIT, "--output", tmp_path / "name", "--include", "v*")
    environment = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    status, error = program(*arguments, **environment | {"HF_HUB_OFFLINE": "1"})
    assert status == 1
    assert error.startswith(f"error: owner/name at {COMMIT}: HF_HUB_OFFLINE is set and the files are not here")
    assert hub.requests == []
    status, error = program(*arguments, **environment)
    assert status == 0
    assert contents(tmp_path / "name") == {"vae/weights.safetensors": b"vae"}
    assert TOKEN not in error
    assert program(*arguments, **environment | {"HF_HUB_OFFLINE": "1"})[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--url", "http://host/f", "--revision", COMMIT), "belong to --repository"),
        (("--url", "http://host/f", "--include", "*"), "belong to --repository"),
        (("--repository", "owner/name"), "--repository needs --revision"),
        (("--repository", "owner/name", "--revision", COMMIT, "--sha256", DIGEST), "--sha256 belongs to --url"),
        (("--repository", "owner/name", "--url", "http://host/f"), "not allowed with argument"),
        ((), "one of the arguments --url --repository is required"),
    ],
)
def test_the_program_refuses_options_that_do_not_belong_together(tmp_path, arguments, message):
    status, error = program(*arguments, "--output", tmp_path / "file")
    assert status != 0
    assert message in error
    assert "Traceback" not in error
