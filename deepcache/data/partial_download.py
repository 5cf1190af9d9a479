"""The part of a file that has arrived, and of which version of the file it is a part."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from deepcache import files


@dataclass(frozen=True)
class Version:
    """What tells one version of a file on a server from another (RFC 9110, sections 8.6 and 8.8).

    Attributes:
        url: without credentials.
        length: bytes of the whole file; None where the server does not say.
        etag: of the answer, perhaps a weak one.
        modified: date, as the server wrote it.
    """

    url: str
    length: int | None
    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, url: str, response: requests.Response) -> "Version":
        """What an answer says of the file, whole or in part."""
        length = response.headers.get("Content-Length")
        if response.status_code == 206:
            length = content_range(response)[1]
        modified = response.headers.get("Last-Modified")
        return cls(url, None if length is None else int(length), response.headers.get("ETag"), modified)

    @property
    def validator(self) -> str | None:
        """For If-Range, which takes no weak ETag: one that two files with different bytes may share."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


class PartialDownload:
    """What has arrived of a file, beside its target, and a sidecar that says of which version it is a part.

    Args:
        target: where the file is to stand when it is whole.
    """

    def __init__(self, target: Path):
        self.path = target.with_name(f"{target.name}.partial")
        self.sidecar = target.with_name(f"{target.name}.partial.json")

    @property
    def size(self) -> int:
        """Bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    def resumable(self, url: str) -> Version | None:
        """The version of which a part lies here, if more of the same can be asked for."""
        try:
            version = Version(**json.loads(self.sidecar.read_text(encoding="utf-8")))
        except (*files.UNREADABLE, TypeError):
            return None
        usable = version.url == url and version.validator is not None and version.length is not None
        return version if usable and 0 < self.size <= version.length else None

    def note(self, version: Version) -> None:
        """Write down which version is about to arrive."""
        files.write_json(self.sidecar, asdict(version))

    def discard(self) -> None:
        """Remove it, so that the next attempt begins anew."""
        self.path.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)

    def move(self, target: Path) -> None:
        """Put it, whole by now, in a place of its own."""
        self.path.replace(target)
        self.sidecar.unlink(missing_ok=True)


def content_range(response: requests.Response) -> tuple[int | None, str | None]:
    """First byte and length of the whole file out of an answer with a part of it."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "").strip())
    return (None, None) if match is None else (int(match[1]), match[2])
