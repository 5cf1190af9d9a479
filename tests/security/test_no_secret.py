"""What opens a door stands in no message, log, manifest or record: tokens, passwords, signed queries of addresses."""

import json
import os
import re

import pytest

from deepcache.data.backoff import BACKOFF
from deepcache.provenance import provenance

# They hold none of the words of the programs' messages.
USER, PASSWORD, SIGNATURE, TOKEN, PROXY = "u5er", "pa55word", "5ignature", "hf_t0ken", "pr0xy-pa55"
SECRETS = (USER, PASSWORD, SIGNATURE, TOKEN, PROXY)
ADDRESS = f"http://{USER}:{PASSWORD}@127.0.0.1:9/file.bin?X-Amz-Signature={SIGNATURE}&token={TOKEN}#{TOKEN}"
ELSEWHERE = ADDRESS.replace("127.0.0.1:9", "files.invalid")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """A token and a proxy with a password, where nothing listens."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://{USER}:{PROXY}@127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    waiting = BACKOFF.sleep
    object.__setattr__(BACKOFF, "sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    yield
    object.__setattr__(BACKOFF, "sleep", waiting)


def leaked(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def written(folder) -> str:
    """The names and the text of all files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return "\n".join(f"{path} {path.read_bytes().decode('utf-8', 'replace')}" for path in files)


PROGRAMS = {
    "a file": ("download.py", "--url", ADDRESS, "--output", "x"),
    "a file through a proxy": ("download.py", "--url", ELSEWHERE, "--output", "x"),
    "a secure file through a proxy": ("download.py", "--url", ELSEWHERE.replace("http:", "https:"), "--output", "x"),
    "a file of no kind": ("download.py", "--url", ADDRESS.replace("http:", "ftp:"), "--output", "x"),
    "a file at no port": ("download.py", "--url", ADDRESS.replace(":9/", ":99999/"), "--output", "x"),
    "a file in brackets": ("download.py", "--url", ADDRESS.replace("127.0.0.1:9", "[::1"), "--output", "x"),
    "a repository": ("download.py", "--repository", "owner/name", "--revision", "0" * 40, "--output", "x"),
    "a checkpoint": (
        *("checkpoint.py", "--name", "mine", "--source", "url", "--url", ADDRESS, "--sha256", f"file.bin={'0' * 64}"),
        *("--folder", "x", "--output", "o.json"),
    ),
    "a checkpoint of the hub": (
        *("checkpoint.py", "--name", "mine", "--source", "hub", "--repository", "owner/name", "--revision", "main"),
        *("--folder", "x", "--output", "o.json"),
    ),
    "a dataset": (
        *("dataset.py", "--name", "mine", "--format", "npz", "--source", "url", "--url", ADDRESS, "--downloads", "x"),
        *("--output", "o.json"),
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_fails_tells_no_secret(name, call, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://{USER}:{PASSWORD}@127.0.0.1:9")
    assert call(*PROGRAMS[name], "--log", "program.log") == 1
    said = "".join(capfd.readouterr())
    assert re.search("^error: .*$", said, flags=re.M), said
    assert leaked(said) == [], said
    assert leaked(written(tmp_path)) == []


def test_where_a_number_comes_from_tells_nothing_of_the_environment():
    assert leaked(json.dumps(provenance("cpu"))) == []
    assert leaked(json.dumps(dict(os.environ))) == [USER, TOKEN, PROXY], "though it is there"
