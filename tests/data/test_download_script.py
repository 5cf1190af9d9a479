"""The program that downloads a file or a repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.server import COMMIT, DIGEST, OTHER, TOKEN, contents, is_alone

ROOT = Path(__file__).resolve().parents[2]


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
