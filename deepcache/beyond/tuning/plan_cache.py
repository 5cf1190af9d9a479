"""Plans of earlier calls, in the user's cache folder."""

import os
from pathlib import Path

from deepcache.files import short_hash

FOLDER = "DEEPCACHE_PLANS"  # names another one


def cached_plan(key: dict) -> Path:
    """The file in which a plan for this is kept; the folder may be missing.

    Args:
        key: everything that decides a plan, as plain values.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(FOLDER) or home / "deepcache" / "plans") / f"{short_hash(key)}.json"
