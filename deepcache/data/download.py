"""Download single files: taken up where they broke off, checked, and at their place only when whole."""

import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from deepcache import files
from deepcache.data.backoff import BACKOFF, Backoff, retry
from deepcache.data.disk import disk_error
from deepcache.data.partial_download import PartialDownload
from deepcache.data.transfer import attempt, failure_reason
from deepcache.data.urls import check_url, shown
from deepcache.errors import DeepCacheError

TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces of the answer


def download(
    url: str,
    path: str | Path,
    sha256: str | None = None,
    *,
    timeout: tuple[float, float] = TIMEOUT,
    backoff: Backoff = BACKOFF,
) -> None:
    """Download one file; it stands at `path` only when it is whole and, if a checksum is given, the right one.

    A download that breaks off leaves `path.partial`, and the next call goes on from there if the server still has the
    same file. A file that is at `path` already is kept if it has the checksum, and replaced otherwise. Credentials for
    a host come from ~/.netrc, proxies from the environment.

    Args:
        url: address of the file, http or https.
        path: where to put it.
        sha256: the file's SHA-256, or its first 8 digits or more where a publisher gives no others; a file with another
            one is set aside as `path.wrong-sha256`.
        timeout: seconds to connect, and to wait for the next bytes.
        backoff: how often to try again after connection errors, timeouts and the statuses 429 and 5xx.

    Raises:
        DeepCacheError: if the file cannot be had, is not the expected one, or does not fit on the disk.
    """
    path = Path(path)
    sha256 = _checked_digest(sha256)
    check_url(url)
    try:
        if sha256 is not None and path.is_file() and files.sha256(path).startswith(sha256):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = PartialDownload(path)
        with requests.Session() as session:
            verified = sha256 is not None
            retry(lambda: attempt(session, url, partial, timeout, verified), shown(url), backoff)
        _accept(partial, path, sha256, shown(url))
    except requests.RequestException as error:
        raise DeepCacheError(f"{shown(url)}: {failure_reason(error)}") from error
    except OSError as error:
        raise disk_error(path, error) from error


def download_once(url: str, folder: Path, sha256: dict[str, str]) -> tuple[Path, dict]:
    """Download a file into a folder; without a checksum it is taken as it comes, once.

    Where the whole checksum is not given, a message says how to pin it.

    Args:
        url: address of the file.
        folder: where to put it, under its own name.
        sha256: the file's SHA-256 by its name (see `download`), or empty.

    Returns:
        The file, and where it came from, as plain values for a manifest: its address, name and SHA-256.

    Raises:
        DeepCacheError: if the address names no file or not the one of the checksum, or as from `download`.
    """
    name = Path(unquote(urlsplit(url).path)).name
    if not name:
        raise DeepCacheError(f"{shown(url)}: names no file")
    if sha256 and name not in sha256:
        raise DeepCacheError(f"{shown(url)}: sha256 has {', '.join(sha256)}, but not the file {name}")
    file = folder / name
    if sha256 or not file.is_file():
        download(url, file, sha256.get(name))
    found = files.sha256(file)
    if found != sha256.get(name, "").lower():
        print(f'{shown(url)}: write `sha256: {{{name}: "{found}"}}` to pin it', file=sys.stderr)
    return file, {"url": shown(url), "file": name, "file_sha256": found}


def _accept(partial: PartialDownload, path: Path, sha256: str | None, name: str) -> None:
    """Move a whole file to its place, or out of the way if it is the wrong one."""
    found = None if sha256 is None else files.sha256(partial.path)
    if found is None or found.startswith(sha256):
        partial.move(path)
        return
    aside = path.with_name(f"{path.name}.wrong-sha256")
    partial.move(aside)
    raise DeepCacheError(f"{name}: expected SHA-256 {sha256}, found {found}; the file is set aside as {aside}")


def _checked_digest(sha256: str | None) -> str | None:
    if sha256 is not None and re.fullmatch("[0-9a-fA-F]{8,64}", sha256) is None:
        raise DeepCacheError(f"sha256: {sha256!r} is not a SHA-256: 64 hexadecimal digits, or the first 8 or more")
    return None if sha256 is None else sha256.lower()
