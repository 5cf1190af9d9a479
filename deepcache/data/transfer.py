"""One request for a file, or for the rest of it."""

import requests
import urllib3

from deepcache.data.backoff import Transient
from deepcache.data.disk import check_space
from deepcache.data.partial_download import PartialDownload, Version, content_range
from deepcache.data.urls import shown
from deepcache.errors import DeepCacheError
from deepcache.progress import progress

CHUNK = 2**18  # bytes: what is lost at most when a connection breaks


def attempt(
    session: requests.Session, url: str, partial: PartialDownload, timeout: tuple[float, float], verified: bool
) -> None:
    """Ask once for the file, or for the rest of it, and write what comes.

    Args:
        session: sends the request.
        url: address of the file.
        partial: what is here already, to which the answer is appended.
        timeout: seconds to connect, and to wait for the next bytes.
        verified: whether a checksum will tell that the file is whole, even if the server does not say how long it is.

    Raises:
        Transient: if the next attempt may succeed.
        DeepCacheError: if it will not, or the file does not fit on the disk.
    """
    earlier = partial.resumable(shown(url))
    start = 0 if earlier is None else partial.size
    if earlier is not None and start == earlier.length:
        return
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are to be those of the file itself
    if earlier is not None:
        headers |= {"Range": f"bytes={start}-", "If-Range": earlier.validator}
    with _answer(session, url, headers, timeout) as response:
        _check_status(response, shown(url))
        version = Version.of(shown(url), response)
        if response.status_code == 416 or (response.status_code == 206 and not _continues(response, start, earlier)):
            partial.discard()
            raise Transient("the server has another file than before: starting over")
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
        raise Transient(failure_reason(error)) from error


def _check_status(response: requests.Response, name: str) -> None:
    status = response.status_code
    if status in (200, 206) or (status == 416 and "Range" in response.request.headers):
        return
    answer = f"the server answers {status} {response.reason}"
    if status == 429 or status >= 500:
        raise Transient(answer, asked=_retry_after(response))
    if status in (401, 403):
        raise DeepCacheError(f"{name}: {answer}: put your user name and password for this host into ~/.netrc")
    raise DeepCacheError(f"{name}: {answer}: correct the address")


def _retry_after(response: requests.Response) -> float | None:
    try:
        return urllib3.Retry().get_retry_after(response.raw)
    except urllib3.exceptions.InvalidHeader:
        return None


def _continues(response: requests.Response, start: int, earlier: Version | None) -> bool:
    """Whether a part goes on where the partial file ends: some servers heed Range but not If-Range."""
    if earlier is None:
        return False
    version = Version.of(earlier.url, response)
    same_tag = version.etag in (None, earlier.etag) and version.modified in (None, earlier.modified)
    return content_range(response)[0] == start and version.length == earlier.length and same_tag


def _receive(response: requests.Response, partial: PartialDownload, start: int, length: int | None) -> None:
    """Append an answer's bytes to the partial file; raises Transient where they end too early."""
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
            reason = failure_reason(error)
    if reason is not None or length not in (None, partial.size):
        position = f"after {partial.size} bytes" if length is None else f"after {partial.size} of {length} bytes"
        raise Transient(f"{reason or 'broken off'} {position}", advanced=0 < start < partial.size)


def failure_reason(error: BaseException) -> str:
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
