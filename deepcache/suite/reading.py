"""A suite's config as it is meant: read, with what it extends, rows spelt out."""

from pathlib import Path
from typing import TextIO

import yaml

from deepcache.errors import DeepCacheError, KeyedError, reason
from deepcache.suite.sweeps import spell_out


def read_config(source: str | Path | TextIO) -> dict:
    """What a file of YAML, or a stream, holds; DeepCacheError where it cannot be read or holds no keys."""
    named = isinstance(source, str | Path)
    name = source if named else source.name
    try:
        config = yaml.safe_load(Path(source).read_text(encoding="utf-8") if named else source)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DeepCacheError(f"{name} cannot be read ({reason(error)})") from error
    if not isinstance(config, dict):
        raise DeepCacheError(f"{name} holds no keys")
    return config


def located(entry: dict, root: str | Path) -> dict:
    """A checkpoint's or dataset's entry whose folder, where it is not there, is looked for in the project."""
    folder = entry.get("folder")
    return entry if folder is None or Path(folder).exists() else {**entry, "folder": str(Path(root, folder))}


def extend(config: dict, root: str | Path, above: tuple[Path, ...] = ()) -> dict:
    """Merge a config over the one that its key `extends` names, which may itself extend another.

    Args:
        config: may name a file, from the folder of the run or else from `root`. Mappings are merged key by key,
            everything else replaces what was there; a key set to null is removed.
        root: the project's folder.
        above: the files through which this one was reached.

    Raises:
        DeepCacheError: if the file cannot be read, is no mapping, or extends itself.
    """
    if "extends" not in config:
        return config
    if not isinstance(config["extends"], str):
        raise DeepCacheError(f"config: extends: {config['extends']!r} is no path of a file")
    named = Path(config["extends"])
    path = (named if named.is_file() else Path(root, named)).resolve()
    if path in above:
        raise DeepCacheError(f"config: extends: {path} extends itself, by way of {above[-1]}")
    try:
        base = read_config(path)
    except DeepCacheError as error:
        raise DeepCacheError(f"config: extends: {error}") from error
    own = {key: value for key, value in config.items() if key != "extends"}
    return _merged(extend(base, root, (*above, path)), own)


def _merged(base: dict, over: dict) -> dict:
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merged(base[key], value)
        else:
            merged[key] = value
    return merged


def complete(config: dict, root: str | Path) -> dict:
    """A config with what it extends, and every row of its tables spelt out.

    Args:
        config: as a file or the command line has it.
        root: the project's folder.

    Raises:
        DeepCacheError: as from `extend` and `spell_out`.
    """
    try:
        return spell_out(extend(config, root))
    except KeyedError as error:
        raise DeepCacheError(f"config: {error}") from error
