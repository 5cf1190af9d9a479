"""Random datasets, and a server on this machine."""

import hashlib
import json
import threading

import pytest
from huggingface_hub import close_session, constants

from deepcache.data.random_datasets import write_random
from tests.data.reading import COUNT, SEED, SIDE
from tests.data.server import COMMIT, CONTENT, FILES, TOKEN, Handler, Reply, Server


@pytest.fixture
def dataset(tmp_path):
    """Write a random dataset; returns its path."""

    def dataset(form, count=COUNT):
        path = tmp_path / f"{form}.npz" if form == "npz" else tmp_path / form
        write_random(form, path, count, SIDE, SEED)
        return path

    return dataset


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
