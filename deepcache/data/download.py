"""Download single files: taken up where they broke off, checked, and at their place only when whole."""

import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from deepcache import files
from deepcache.data.backoff import BACKOFF, Backoff, retry
from deepcache.data.checksum import Checksum
from deepcache.data.disk import disk_error
from deepcache.data.partial_download import PartialDownload
from deepcache.data.transfer import attempt, failure_reason
from deepcache.data.urls import check_url, shown
from deepcache.errors import DeepCacheError

TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces of the answer


def download(
    url: str,
    path: str | Path,
    checksum: str | None = None,
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
        checksum: the file's SHA-256 or MD5, see `Checksum.parse`; a file with another one is set aside as
            `path.wrong-sha256` or `path.wrong-md5`.
        timeout: seconds to connect, and to wait for the next bytes.
        backoff: how often to try again after connection errors, timeouts and the statuses 429 and 5xx.

    Raises:
        DeepCacheError: if the file cannot be had, is not the expected one, or does not fit on the disk.
    """
    path = Path(path)
    expected = None if checksum is None else Checksum.parse(checksum)
    check_url(url)
    try:
        if expected is not None and path.is_file() and expected.fits(path):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = PartialDownload(path)
        with requests.Session() as session:
            verified = expected is not None
            retry(lambda: attempt(session, url, partial, timeout, verified), shown(url), backoff)
        _accept(partial, path, expected, shown(url))
    except requests.RequestException as error:
        raise DeepCacheError(f"{shown(url)}: {failure_reason(error)}") from error
    except OSError as error:
        raise disk_error(path, error) from error


def download_once(url: str, folder: Path, checksums: dict[str, str]) -> tuple[Path, dict]:
    """Download a file into a folder; without a checksum it is taken as it comes, once.

    Where the whole checksum is not given, a message says how to pin it.

    Args:
        url: address of the file.
        folder: where to put it, under its own name; under that of its checksum where the address ends without one.
        checksums: the file's SHA-256 or MD5 by its name (see `download`), or empty.

    Returns:
        The file, and where it came from, as plain values for a manifest: its address, name and SHA-256.

    Raises:
        DeepCacheError: if the address names no file or not the one of the checksum, or as from `download`.
    """
    name = Path(unquote(urlsplit(url).path)).name
    if not Path(name).suffix and len(checksums) == 1:
        name = next(iter(checksums))  # some hosts call a file by a number
    if name in ("", ".", "..") or set("/\0") & set(name):
        raise DeepCacheError(f"{shown(url)}: names no file")
    if checksums and name not in checksums:
        raise DeepCacheError(f"{shown(url)}: sha256 has {', '.join(checksums)}, but not the file {name}")
    file = folder / name
    if checksums or not file.is_file():
        download(url, file, checksums.get(name))
    found = files.sha256(file)
    if found != checksums.get(name, "").lower():
        print(f'{shown(url)}: write `sha256: {{{name}: "{found}"}}` to pin it', file=sys.stderr)
    return file, {"url": shown(url), "file": name, "file_sha256": found}


def _accept(partial: PartialDownload, path: Path, expected: Checksum | None, name: str) -> None:
    """Move a whole file to its place, or out of the way if it is the wrong one."""
    if expected is None or expected.fits(partial.path):
        partial.move(path)
        return
    found, aside = expected.of(partial.path), path.with_name(f"{path.name}.wrong-{expected.algorithm}")
    partial.move(aside)
    raise DeepCacheError(f"{name}: expected {expected}, found {found}; the file is set aside as {aside}")
