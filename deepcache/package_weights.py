"""Weights that come as a Python package: a folder in it, found without running any of the package's code."""

import importlib.util
from pathlib import Path

from deepcache.errors import DeepCacheError


def package_folder(place: str) -> Path:
    """Folder of an installed package.

    Args:
        place: name of the package, or of a folder in it: `package/folder`.

    Raises:
        DeepCacheError: if it is not installed, or has no such folder.
    """
    package, _, inner = place.partition("/")
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise DeepCacheError(f"{package}: no such package is installed: pip install -e '.[emoji]' installs it")
    folder = Path(found.submodule_search_locations[0]) / inner
    if not folder.is_dir():
        raise DeepCacheError(f"{package}: has no folder {inner}: install the version that pyproject.toml names")
    return folder
