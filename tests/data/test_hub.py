"""Repositories from a hub on this machine that fails as told."""

import errno
import hashlib
import json
import logging
import os
import shutil
from http.server import ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from deepcache import DeepCacheError
from deepcache.data.backoff import Backoff
from deepcache.data.disk import MARGIN
from deepcache.data.hub import download_repository, resolve_revision
from tests.data.reading import failure
from tests.data.server import (
    COMMIT,
    CONTENT,
    DIGEST,
    FILES,
    OTHER,
    TOKEN,
    Break,
    Handler,
    Reply,
    Usage,
    contents,
)


@pytest.fixture
def clone(hub, tmp_path, waits):
    """Download the repository; returns where it is to lie."""
    folder = tmp_path / "deep" / "name"

    def clone(patterns=None, revision=COMMIT, repository="owner/name"):
        download_repository(repository, revision, folder, patterns, backoff=Backoff(attempts=3, sleep=waits.append))

    clone.folder = folder
    clone.partial = folder.with_name(f"name.{COMMIT[:8]}.partial")
    return clone


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
    need = MARGIN + sum(map(len, FILES.values()))
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
