"""Download single files: taken up where they broke off, checked, and at their place only when whole."""

import errno
import json
import re
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
import urllib3
from tqdm import tqdm

from deepcache import files
from deepcache.errors import DeepCacheError
from deepcache.progress import progress

CHUNK = 2**18  # bytes: what is lost at most when a connection breaks
MARGIN = 100 * 10**6  # bytes that stay free on the disk
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces of the answer
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Backoff:
    """How often to try and how long to wait in between.

    Args:
        attempts: tries in a row that bring a download no further, before giving up.
        first: seconds before the second try; each further wait is twice as long.
        longest: the most seconds between two tries.
        patience: the most seconds to wait because the server asks for it (Retry-After); if it asks for more, give up.
        sleep: does the waiting, given the seconds.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0
    patience: float = 600.0
    sleep: Callable[[float], None] = time.sleep

    def wait(self, name: str, reason: str, failures: int, asked: float | None = None) -> None:
        """Say what failed and wait, or give up.

        Args:
            name: what is being downloaded, for the message.
            reason: why the last try failed.
            failures: how many tries in a row have failed.
            asked: seconds that the server asks to wait.

        Raises:
            DeepCacheError: after the last attempt, or if the server asks for too long a wait.
        """
        if failures >= self.attempts:
            raise DeepCacheError(f"{name}: {reason}; gave up after {failures} attempts: try again later")
        seconds = min(self.longest, self.first * 2 ** (failures - 1)) if asked is None else asked
        if seconds > self.patience:
            raise DeepCacheError(f"{name}: {reason}; the server asks to wait {seconds:.0f} s: try again after that")
        print(f"{name}: {reason}; attempt {failures + 1} of {self.attempts} in {seconds:g} s", file=sys.stderr)
        self.sleep(seconds)


BACKOFF = Backoff()


class _Transient(Exception):
    """A try failed in a way that the next may not.

    Args:
        reason: for the reader.
        asked: seconds that the server asks to wait.
        advanced: whether the try, although it failed, took up the partial file and made it longer.
    """

    def __init__(self, reason: str, asked: float | None = None, advanced: bool = False):
        super().__init__(reason)
        self.asked, self.advanced = asked, advanced


@dataclass(frozen=True)
class _Version:
    """What tells one version of a file on a server from another."""

    url: str
    length: int | None
    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, url: str, response: requests.Response) -> "_Version":
        length = response.headers.get("Content-Length")
        if response.status_code == 206:
            length = _content_range(response)[1]
        modified = response.headers.get("Last-Modified")
        return cls(url, None if length is None else int(length), response.headers.get("ETag"), modified)

    @property
    def validator(self) -> str | None:
        """For If-Range, which takes no weak ETag: one that two files with different bytes may share."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


class _Partial:
    """What has arrived of a file, beside its target, and a sidecar that says of which version it is a part."""

    def __init__(self, target: Path):
        self.path = target.with_name(f"{target.name}.partial")
        self.sidecar = target.with_name(f"{target.name}.partial.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def resumable(self, url: str) -> _Version | None:
        """The version of which a part lies here, if more of the same can be asked for."""
        try:
            version = _Version(**json.loads(self.sidecar.read_text()))
        except (*files.UNREADABLE, TypeError):
            return None
        usable = version.url == url and version.validator is not None and version.length is not None
        return version if usable and 0 < self.size <= version.length else None

    def note(self, version: _Version) -> None:
        """Write down which version is about to arrive."""
        files.write_json(self.sidecar, asdict(version))

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)

    def move(self, target: Path) -> None:
        self.path.replace(target)
        self.sidecar.unlink(missing_ok=True)


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
    _check_address(url)
    try:
        if sha256 is not None and path.is_file() and files.sha256(path).startswith(sha256):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _Partial(path)
        with requests.Session() as session:
            verified = sha256 is not None
            _complete(partial, lambda: _attempt(session, url, partial, timeout, verified), shown(url), backoff)
        _accept(partial, path, sha256, shown(url))
    except requests.RequestException as error:
        raise DeepCacheError(f"{shown(url)}: {_reason(error)}") from error
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


def check_space(path: Path, needed: int) -> None:
    """Refuse a download that would fill the disk.

    Args:
        path: the file or folder to be written; its parent exists.
        needed: bytes still to come.

    Raises:
        DeepCacheError: if they would leave less than a margin free.
    """
    free = shutil.disk_usage(path.parent).free
    if needed + MARGIN > free:
        sizes = f"{_size(needed)} to download and {_size(MARGIN)} to spare, but {_size(free)} are free"
        raise DeepCacheError(f"{path}: {sizes} on the disk of {path.parent}: make room or choose another place")


def disk_error(path: Path, error: OSError) -> DeepCacheError:
    """The error to raise where the operating system refuses to write `path` or something beside it."""
    if error.errno in DISK_FULL:
        return DeepCacheError(f"{path}: the disk is full: make room and run again; what has arrived so far is kept")
    return DeepCacheError(f"{error.filename or path}: {error.strerror or ' '.join(str(error).split())}")


def shown(url: str) -> str:
    """An address as it may be printed: without user, password and query, where credentials stand."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _complete(partial: _Partial, attempt: Callable[[], None], name: str, backoff: Backoff) -> None:
    """Try until the partial file is whole."""
    failures = 0
    while True:
        try:
            return attempt()
        except _Transient as error:
            failures = 1 if error.advanced else failures + 1
            backoff.wait(name, str(error), failures, error.asked)


def _attempt(
    session: requests.Session, url: str, partial: _Partial, timeout: tuple[float, float], verified: bool
) -> None:
    """Ask once for the file, or for the rest of it, and write what comes."""
    earlier = partial.resumable(shown(url))
    start = 0 if earlier is None else partial.size
    if earlier is not None and start == earlier.length:
        return
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are to be those of the file itself
    if earlier is not None:
        headers |= {"Range": f"bytes={start}-", "If-Range": earlier.validator}
    with _answer(session, url, headers, timeout) as response:
        _check_status(response, shown(url))
        version = _Version.of(shown(url), response)
        if response.status_code == 416 or (response.status_code == 206 and not _continues(response, start, earlier)):
            partial.discard()
            raise _Transient("the server has another file than before: starting over")
        if response.status_code == 200:
            start = 0
            partial.discard()
        if version.length is not None:
            check_space(partial.path, version.length - start)
        elif not (response.raw.chunked or verified):
            raise DeepCacheError(f"{shown(url)}: the server does not say how long the file is: give its SHA-256")
        if start == 0:
            partial.note(version)
        _receive(response, partial, start, version.length)


def _answer(session: requests.Session, url: str, headers: dict, timeout: tuple[float, float]) -> requests.Response:
    try:
        return session.get(url, headers=headers, stream=True, timeout=timeout)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _Transient(_reason(error)) from error


def _check_status(response: requests.Response, name: str) -> None:
    status = response.status_code
    if status in (200, 206) or (status == 416 and "Range" in response.request.headers):
        return
    answer = f"the server answers {status} {response.reason}"
    if status == 429 or status >= 500:
        raise _Transient(answer, asked=_retry_after(response))
    if status in (401, 403):
        raise DeepCacheError(f"{name}: {answer}: put your user name and password for this host into ~/.netrc")
    raise DeepCacheError(f"{name}: {answer}: correct the address")


def _retry_after(response: requests.Response) -> float | None:
    try:
        return urllib3.Retry().get_retry_after(response.raw)
    except urllib3.exceptions.InvalidHeader:
        return None


def _content_range(response: requests.Response) -> tuple[int | None, str | None]:
    """First byte and length of the whole file out of an answer with a part of it."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "").strip())
    return (None, None) if match is None else (int(match[1]), match[2])


def _continues(response: requests.Response, start: int, earlier: _Version | None) -> bool:
    """Whether a part goes on where the partial file ends: some servers heed Range but not If-Range."""
    if earlier is None:
        return False
    version = _Version.of(earlier.url, response)
    same_tag = version.etag in (None, earlier.etag) and version.modified in (None, earlier.modified)
    return _content_range(response)[0] == start and version.length == earlier.length and same_tag


def _receive(response: requests.Response, partial: _Partial, start: int, length: int | None) -> None:
    """Append an answer's bytes to the partial file; raises _Transient where they end too early."""
    name = partial.path.name.removesuffix(".partial")
    bar = progress(None, name, unit="B", unit_scale=True, total=length, initial=start)
    reason = None
    with bar, partial.path.open("ab" if start else "wb") as file:
        try:
            # Raw: an archive that a server declares as compressed content is to stay an archive.
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
        except urllib3.exceptions.HTTPError as error:
            reason = _reason(error)
    if reason is not None or length not in (None, partial.size):
        position = f"after {partial.size} bytes" if length is None else f"after {partial.size} of {length} bytes"
        raise _Transient(f"{reason or 'broken off'} {position}", advanced=0 < start < partial.size)


def _accept(partial: _Partial, path: Path, sha256: str | None, name: str) -> None:
    """Move a whole file to its place, or out of the way if it is the wrong one."""
    found = None if sha256 is None else files.sha256(partial.path)
    if found is None or found.startswith(sha256):
        partial.move(path)
        return
    aside = path.with_name(f"{path.name}.wrong-sha256")
    partial.move(aside)
    raise DeepCacheError(f"{name}: expected SHA-256 {sha256}, found {found}; the file is set aside as {aside}")


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DeepCacheError(f"{error}: correct the address") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DeepCacheError(f"{shown(url)}: not an http or https address")


def _checked_digest(sha256: str | None) -> str | None:
    if sha256 is not None and re.fullmatch("[0-9a-fA-F]{8,64}", sha256) is None:
        raise DeepCacheError(f"sha256: {sha256!r} is not a SHA-256: 64 hexadecimal digits, or the first 8 or more")
    return None if sha256 is None else sha256.lower()


def _reason(error: BaseException) -> str:
    """Why a request failed, in words that hold no address: the libraries' own messages quote it with its query."""
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "timed out"
    if isinstance(error, requests.TooManyRedirects):
        return "redirected too often"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"connection failed ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    broken = isinstance(error, requests.ConnectionError | urllib3.exceptions.ProtocolError)
    return "connection broken" if broken else f"request failed ({type(error).__name__})"


def _size(count: int) -> str:
    return tqdm.format_sizeof(count, "B")
