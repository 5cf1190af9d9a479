"""JSON that a program is given, as a file or as an option: what it holds is checked before it is used."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepcache.errors import DeepCacheError, reason

REDO = "delete it and run again"


def read_object(path: str | Path, keys: Sequence[str] = (), advice: str = REDO) -> dict[str, Any]:
    """A file that holds a JSON object with these keys.

    Args:
        path: the file.
        keys: which must be there.
        advice: what to do where it is another file; ends the message.

    Raises:
        DeepCacheError: if the file cannot be read, is no JSON, no object or lacks a key.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DeepCacheError(f"{path}: cannot be read ({reason(error)}); {advice}") from error
    if not isinstance(found, dict):
        raise DeepCacheError(f"{path}: cannot be read (it holds no object); {advice}")
    if lacking := [key for key in keys if key not in found]:
        raise DeepCacheError(f"{path}: cannot be read (it lacks {', '.join(lacking)}); {advice}")
    return found


def parse_option(option: str, text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The value of an option that takes a JSON object.

    Args:
        option: its name, such as `--layout`.
        text: its value.
        schema: JSON schema of the value.

    Raises:
        DeepCacheError: if the text is no JSON or breaks the schema; the message names the option and the key.
    """
    import jsonschema

    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DeepCacheError(f"{option}: not JSON ({reason(error)})") from error
    wrong = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(value))
    if wrong is not None:
        where = "".join(f".{part}" for part in wrong.absolute_path)
        raise DeepCacheError(f"{option}{where}: {reason(wrong.message)}")
    return value
