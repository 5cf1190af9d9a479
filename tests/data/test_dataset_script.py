"""Each source of a dataset, through the program that the workflow calls."""

import functools
import http.server
import io
import json
import runpy
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from deepcache.data.datasets import IMAGE_FORMATS, PROMPT_FORMATS
from deepcache.data.manifests import open_dataset, open_manifest
from deepcache.data.random_datasets import write_random
from deepcache.files import sha256

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "workflow/scripts/dataset.py"


@pytest.fixture
def served(tmp_path):
    """The folder that the web server shows."""
    (tmp_path / "server").mkdir()
    return tmp_path / "server"


@pytest.fixture
def address(served, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            server.requests.append(self.path)

    handler = functools.partial(Handler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.requests = []
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", server.requests
        server.shutdown()


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Run dataset.py; returns the manifest."""
    output, downloads = tmp_path / "manifest.json", tmp_path / "downloads"

    def program(form, source, *options):
        fixed = ["--name", "data", "--format", form, "--source", source]
        places = ["--downloads", str(downloads), "--output", str(output)]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *fixed, *places, *map(str, options)])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return json.loads(output.read_text(encoding="utf-8"))

    program.output, program.downloads = output, downloads
    return program


def archive_of(folder, path):
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-py")
    return path


def test_the_program_knows_all_formats(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--format", "x"])
    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    named = capsys.readouterr().err.split("choose from ")[-1]
    assert {name.strip(" '\n") for name in named.strip(")\n").split(",")} == {*IMAGE_FORMATS, *PROMPT_FORMATS}


def test_bundled_digits(program):
    manifest = program("digits", "bundled", "--licence", "CC BY 4.0")
    assert manifest["items"] == 1797
    assert manifest["path"] is None
    assert manifest["licence"] == "CC BY 4.0"
    assert len(open_dataset(open_manifest(program.output), 16)) == 1797


@pytest.mark.parametrize("form", ["folder", "cifar10", "lmdb", "npz"])
def test_random_images_are_read_by_the_readers_of_the_real_ones(program, form):
    manifest = program(form, "random", "--images", 7, "--image-size", 32, "--seed", 5)
    assert manifest["items"] == 7
    assert manifest["origin"] == {"images": 7, "image_size": 32, "seed": 5}
    assert Path(manifest["path"]).is_relative_to(program.downloads / "data")
    images = open_dataset(open_manifest(program.output), 32, 7)
    assert [image.shape for image in images.read()] == [(32, 32, 3)] * 7
    again = program(form, "random", "--images", 7, "--image-size", 32, "--seed", 5)
    assert again["items"] == 7


def test_local_folder_and_prompt_file(program, tmp_path):
    write_random("folder", tmp_path / "mine", 3, 8, 0)
    manifest = program("folder", "local", "--folder", tmp_path / "mine")
    assert manifest["path"] == str(tmp_path / "mine")
    assert manifest["origin"] == {"folder": str(tmp_path / "mine")}
    (tmp_path / "p.tsv").write_text("Prompt\tCategory\na cat\tAnimals\n", encoding="utf-8")
    digest = sha256(tmp_path / "p.tsv")
    manifest = program("partiprompts", "local", "--folder", tmp_path / "p.tsv", "--sha256", f"p.tsv={digest[:8]}")
    assert manifest["items"] == 1
    assert manifest["fingerprint"] == digest


def test_a_file_from_a_url_is_pinned_or_says_how(program, served, address, capsys):
    server, requests = address
    write_random("npz", served / "x.npz", 4, 8, 0)
    digest = sha256(served / "x.npz")
    url = f"{server}/x.npz"
    manifest = program("npz", "url", "--url", f"{url}?token=secret")
    assert manifest["origin"] == {"url": url, "file": "x.npz", "file_sha256": digest}
    assert manifest["path"] == str(program.downloads / "data/x.npz")
    messages = capsys.readouterr().err
    assert f'{url}: write `sha256: {{x.npz: "{digest}"}}` to pin it\n' in messages
    assert "secret" not in messages
    program("npz", "url", "--url", url, "--sha256", f"x.npz={digest}")
    assert "to pin it" not in capsys.readouterr().err
    assert len(requests) == 1, "what is here is not asked for again"


def test_an_archive_from_a_url_is_unpacked_once(program, served, address, tmp_path, monkeypatch):
    server, requests = address
    write_random("cifar10", tmp_path / "cifar", 10, 32, 0)
    archive = archive_of(tmp_path / "cifar", served / "cifar-10-python.tar.gz")
    pin = ("--sha256", f"{archive.name}={sha256(archive)}")
    options = ("--url", f"{server}/{archive.name}", *pin, "--unpack", "--member", "cifar-10-batches-py")
    manifest = program("cifar10", "url", *options)
    place = program.downloads / f"data/cifar-10-python-{sha256(archive)[:8]}"
    assert manifest["path"] == str(place / "cifar-10-batches-py")
    assert manifest["items"] == 10
    assert manifest["origin"]["member"] == "cifar-10-batches-py"
    monkeypatch.setattr("deepcache.data.dataset_sources.unpack", lambda *arguments: pytest.fail("unpacked again"))
    assert program("cifar10", "url", *options) == manifest
    assert len(requests) == 1


def failed(program, capsys, *arguments):
    """The one line that the program ends with."""
    with pytest.raises(SystemExit) as end:
        program(*arguments)
    assert end.value.code == 1
    assert not program.output.exists()
    lines = [line for line in capsys.readouterr().err.splitlines() if "%|" not in line and "to pin it" not in line]
    assert len(lines) == 1
    return lines[0]


def test_a_wrong_checksum_leaves_no_manifest(program, served, address, capsys):
    server, _ = address
    write_random("npz", served / "x.npz", 4, 8, 0)
    line = failed(program, capsys, "npz", "url", "--url", f"{server}/x.npz", "--sha256", f"x.npz={'0' * 64}")
    assert line.startswith(f"error: datasets.data: {server}/x.npz: expected SHA-256 {'0' * 64}, found ")
    line = failed(program, capsys, "npz", "url", "--url", f"{server}/x.npz", "--sha256", f"y.npz={'0' * 64}")
    assert line.endswith("sha256 has y.npz, but not the file x.npz")


def test_an_archive_without_the_member_says_what_it_has(program, served, address, tmp_path, capsys):
    server, _ = address
    write_random("cifar10", tmp_path / "cifar", 10, 32, 0)
    archive_of(tmp_path / "cifar", served / "c.tgz")
    options = ("--url", f"{server}/c.tgz", "--unpack", "--member")
    line = failed(program, capsys, "cifar10", "url", *options, "images")
    assert line.endswith("has no member 'images'; it has cifar-10-batches-py")
    assert "lies outside the archive" in failed(program, capsys, "cifar10", "url", *options, "../..")


def test_an_archive_that_leaves_its_folder_is_refused(program, served, address, capsys):
    server, _ = address
    with tarfile.open(served / "x.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../../evil.png"), io.BytesIO())
    line = failed(program, capsys, "folder", "url", "--url", f"{server}/x.tar.gz", "--unpack")
    assert "x.tar.gz: refused: '../../../evil.png'" in line
    assert [path.name for path in (program.downloads / "data").iterdir()] == ["x.tar.gz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("folder", "local"), "error: datasets.data: --source local needs --folder"),
        (("text", "bundled"), "error: datasets.data: --source bundled needs --folder"),
        (("folder", "url"), "--source url needs --url"),
        (("folder", "random", "--images", 3), "--source random needs --image-size"),
        (("folder", "local", "--folder", "/nowhere"), "datasets.data: /nowhere: no such file or folder"),
        (("folder", "url", "--url", "http://x/y.zip", "--member", "z"), "--member is a path inside an archive"),
        (("folder", "url", "--url", "http://x/", "--unpack"), "http://x/: names no file"),
        (("folder", "local", "--folder", ".", "--sha256", "abc"), "--sha256 abc: write NAME=VALUE"),
        (("coco", "random", "--images", 3, "--image-size", 8), "format 'coco' has no random images"),
        (("folder", "local", "--folder", ROOT, "--sha256", "LICENSE=00000000"), "LICENSE has SHA-256 "),
        (("folder", "local", "--folder", ROOT, "--sha256", "none=00000000"), "has SHA-256 (no such file), expected 0"),
    ],
)
def test_mistakes_are_one_line(program, capsys, arguments, message):
    assert message in failed(program, capsys, *arguments)
