"""The checksum that a publisher gives for a file: SHA-256, or MD5 where there is no other."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from deepcache.errors import DeepCacheError

NAMES = {"sha256": "SHA-256", "md5": "MD5"}
PATTERNS = {"sha256": "[0-9a-f]{8,64}", "md5": "[0-9a-f]{32}"}
ASKED = {"sha256": "64 hexadecimal digits, or the first 8 or more", "md5": "32 hexadecimal digits"}


@dataclass(frozen=True)
class Checksum:
    """What a file's digest must begin with.

    Attributes:
        algorithm: `sha256` or `md5`.
        digits: hexadecimal; of a SHA-256 the first 8 or more, where a publisher gives no others.
    """

    algorithm: str
    digits: str

    @classmethod
    def parse(cls, text: str) -> "Checksum":
        """A SHA-256 as it is, an MD5 as `md5:` and its digits; DeepCacheError where it is neither."""
        algorithm, _, digits = text.rpartition(":")
        algorithm = algorithm or "sha256"
        if algorithm not in PATTERNS or re.fullmatch(PATTERNS[algorithm], digits.lower()) is None:
            kind = algorithm if algorithm in PATTERNS else "sha256"
            raise DeepCacheError(f"{kind}: {digits!r} is not a {NAMES[kind]}: {ASKED[kind]}")
        return cls(algorithm, digits.lower())

    def __str__(self) -> str:
        return f"{NAMES[self.algorithm]} {self.digits}"

    def of(self, path: Path) -> str:
        """A file's digest, hexadecimal."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, self.algorithm).hexdigest()

    def fits(self, path: Path) -> bool:
        """Whether a file has it."""
        return self.of(path).startswith(self.digits)
