"""Addresses of files on the web."""

from urllib.parse import urlsplit, urlunsplit

from deepcache.errors import DeepCacheError


def shown(url: str) -> str:
    """An address as it may be printed: without user, password and query, where credentials stand."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def check_url(url: str) -> None:
    """Refuse what is no http or https address of some host.

    Raises:
        DeepCacheError: if it is none.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise DeepCacheError(f"{error}: correct the address") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DeepCacheError(f"{shown(url)}: not an http or https address")
