"""Plans of earlier calls, in the user's cache folder."""

import hashlib
import json
import os
from pathlib import Path

FOLDER = "DEEPCACHE_PLANS"  # names another one


def cached_plan(key: dict) -> Path:
    """The file in which a plan for this is kept; the folder may be missing.

    Args:
        key: everything that decides a plan, as plain values.
    """
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(FOLDER) or home / "deepcache" / "plans") / f"{digest}.json"
