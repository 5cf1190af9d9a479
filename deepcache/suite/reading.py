"""A suite's config as it is meant: read, with what it extends, rows spelt out."""

from pathlib import Path
from typing import Any, TextIO

import yaml

from deepcache.errors import DeepCacheError, KeyedError, reason
from deepcache.suite.sweeps import spell_out


class UniqueKeys(yaml.SafeLoader):
    """YAML in which no mapping has a key twice: the first would be lost without a word."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """As the library's; YAMLError with the line where a key is there twice."""
        node, seen = super().compose_mapping_node(anchor), set()
        for name, _ in node.value:
            if name.value in seen and isinstance(name, yaml.ScalarNode):
                raise yaml.YAMLError(f"line {name.start_mark.line + 1}: {name.value} is there twice: keep one of them")
            seen.add(name.value if isinstance(name, yaml.ScalarNode) else id(name))
        return node


def read_config(source: str | Path | TextIO) -> dict:
    """What a file of YAML, or a stream, holds, see `with_text_keys`; DeepCacheError where it cannot be read."""
    named = isinstance(source, str | Path)
    name = source if named else source.name
    try:
        config = yaml.load(Path(source).read_text(encoding="utf-8") if named else source, UniqueKeys)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise DeepCacheError(f"{name} cannot be read ({reason(error)})") from error
    if not isinstance(config, dict):
        raise DeepCacheError(f"{name} holds no keys")
    try:
        return with_text_keys(config)
    except KeyedError as error:
        raise DeepCacheError(f"{name}: {error}") from error


def with_text_keys(value: Any, key: str = "", above: tuple[int, ...] = ()) -> Any:
    """The same with whole numbers among the keys as text, as in `{5: 12}`: as JSON has them.

    Raises:
        KeyedError: if a key is no text, such as a date or a truth value, a part contains itself, or a text
            holds a NUL.
    """
    if id(value) in above:
        raise KeyedError(key, "contains itself")
    above = (*above, id(value))
    if isinstance(value, list):
        return [with_text_keys(one, f"{key}[{i}]", above) for i, one in enumerate(value)]
    if isinstance(value, str) and "\0" in value:
        raise KeyedError(key, "holds a NUL, which no path and no program's option can hold: leave it out")
    if not isinstance(value, dict):
        return value
    for name in value:
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise KeyedError(key or "the whole file", f"the key {name!r} is no text: write it in quotation marks")
    return {str(name): with_text_keys(one, f"{key}.{name}".lstrip("."), above) for name, one in value.items()}


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
        return spell_out(extend(with_text_keys(config), root))
    except KeyedError as error:
        raise DeepCacheError(f"config: {error}") from error
