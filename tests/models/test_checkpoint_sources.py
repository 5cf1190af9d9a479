"""Each source of a checkpoint, through the program that the workflow calls."""

import functools
import http.server
import json
import runpy
import sys
import threading
from pathlib import Path

import pytest

from deepcache.files import sha256
from deepcache.models import checkpoint_sources
from deepcache.models.checkpoints import open_checkpoint
from deepcache.models.efficientnet import PACKAGE
from deepcache.package_weights import package_folder

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def weights(tmp_path) -> Path:
    path = tmp_path / "server" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"weights" * 1000)
    return path


@pytest.fixture
def address(weights, monkeypatch):
    """Address of the weights on a web server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=weights.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/model.safetensors"
        server.shutdown()


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Run checkpoint.py; returns the manifest."""

    def program(*arguments):
        output = tmp_path / "manifest.json"
        script = "workflow/scripts/checkpoint.py"
        monkeypatch.setattr(sys, "argv", [script, "--name", "model", "--output", str(output), *map(str, arguments)])
        runpy.run_path(str(ROOT / script), run_name="__main__")
        return json.loads(output.read_text(encoding="utf-8"))

    return program


def test_package(program, tmp_path):
    manifest = program("--source", "package", "--package", PACKAGE)
    assert manifest["origin"] == {"package": PACKAGE}
    folder, _ = open_checkpoint(tmp_path / "manifest.json")
    assert folder == package_folder(PACKAGE) and len(manifest["sha256"]) == 1


def test_local(program, weights, tmp_path):
    manifest = program("--source", "local", "--folder", weights.parent, "--licence", "CC0")
    assert manifest["origin"] == {"folder": str(weights.parent)}
    assert manifest["licence"] == "CC0"
    assert open_checkpoint(tmp_path / "manifest.json")[0] == weights.parent


def test_url(program, weights, address, tmp_path):
    digest = sha256(weights)
    options = ("--source", "url", "--url", address, "--folder", tmp_path / "here")
    manifest = program(*options, "--sha256", f"model.safetensors={digest}")
    assert manifest["origin"] == {"url": address, "file": "model.safetensors", "file_sha256": digest}
    assert manifest["sha256"] == {"model.safetensors": digest}
    assert (tmp_path / "here/model.safetensors").read_bytes() == weights.read_bytes()


def test_url_without_a_checksum_is_taken_once(program, weights, address, tmp_path, capsys):
    digest = sha256(weights)
    options = ("--source", "url", "--url", address, "--folder", tmp_path / "here")
    assert program(*options)["origin"]["file_sha256"] == digest
    assert f'write `sha256: {{model.safetensors: "{digest}"}}` to pin it' in capsys.readouterr().err
    weights.write_bytes(b"other weights")
    assert program(*options)["origin"]["file_sha256"] == digest


def test_url_with_the_first_digits_of_a_checksum(program, weights, address, tmp_path, capsys):
    digest = sha256(weights)
    options = ("--source", "url", "--url", address, "--folder", tmp_path / "here")
    assert program(*options, "--sha256", f"model.safetensors={digest[:8]}")["sha256"] == {"model.safetensors": digest}
    weights.write_bytes(b"other weights")
    (tmp_path / "here/model.safetensors").unlink()
    with pytest.raises(SystemExit):
        program(*options, "--sha256", f"model.safetensors={digest[:8]}")
    assert f"expected SHA-256 {digest[:8]}, found {sha256(weights)}" in capsys.readouterr().err


def test_url_with_conversion(program, weights, address, tmp_path, monkeypatch):
    def convert(file, folder):
        folder.mkdir()
        (folder / "converted.safetensors").write_bytes(file.read_bytes()[::-1])

    monkeypatch.setitem(checkpoint_sources.CONVERTERS, "ldm", convert)
    options = ("--source", "url", "--url", address, "--folder", tmp_path / "here", "--convert", "ldm")
    manifest = program(*options, "--sha256", f"model.safetensors={sha256(weights)}")
    assert manifest["folder"] == str(tmp_path / "here/diffusers")
    assert list(manifest["sha256"]) == ["converted.safetensors"]
    assert manifest["origin"]["converted"] == "ldm"
    assert manifest["origin"]["file_sha256"] == sha256(weights)


def test_hub(program, tmp_path, monkeypatch):
    asked = []

    def download_repository(*arguments):
        asked.append(arguments)
        arguments[2].mkdir()
        (arguments[2] / "model.bin").write_bytes(b"weights")

    monkeypatch.setattr("deepcache.data.hub.download_repository", download_repository)
    options = ("--source", "hub", "--repository", "owner/name", "--revision", COMMIT, "--folder", tmp_path / "here")
    manifest = program(*options, "--include", "*.bin", "*.json")
    assert asked == [("owner/name", COMMIT, tmp_path / "here", ["*.bin", "*.json"])]
    assert manifest["origin"] == {"repository": "owner/name", "revision": COMMIT}
    assert list(manifest["sha256"]) == ["model.bin"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--source", "local", "--folder", "/nowhere"), "checkpoints.model: /nowhere: no such folder"),
        (("--source", "hub", "--folder", "x"), "--source hub needs --repository"),
        (("--source", "hub", "--folder", "x", "--repository", "a/b"), "--source hub needs --revision"),
        (("--source", "url", "--folder", "x"), "--source url needs --url"),
        (
            ("--source", "url", "--folder", "x", "--url", "http://127.0.0.1:1/?token=secret"),
            "checkpoints.model: http://127.0.0.1:1/: names no file",
        ),
    ],
)
def test_mistakes_are_one_line(program, capsys, tmp_path, options, message):
    with pytest.raises(SystemExit) as end:
        program(*options)
    assert end.value.code == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "manifest.json").exists()
