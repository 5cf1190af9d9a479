"""The schema of a suite's config, with the methods that there are."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from deepcache.errors import DeepCacheError
from deepcache.methods.discovery import reuses, schedules
from deepcache.suite.reading import read_config

SCHEDULE = "Which steps run fully; default: `uniform`. `nonuniform` is the paper's Eq. 7, `chosen` a calibrated plan."
BRANCH = "Where the U-Net is cut, counted from 0; default: the table's, or 0."
REUSE = "What stands in for the skipped feature; default: `hold`. `forecast1` is a line through the last two features."
MARK = "x-method"  # where a schema says so, the properties of a method are added


def read_schema(path: str | Path) -> dict[str, Any]:
    """The JSON schema in a YAML file, with the properties of methods where it asks for them; DeepCacheError if none."""
    schema = read_config(path)
    if "properties" not in schema:
        raise DeepCacheError(f"{path} is no schema of a config: it has no properties")
    _add(schema, method_properties())
    return schema


def _at_the_very_end(validator, pattern: str, instance: Any, schema: dict) -> Iterator[jsonschema.ValidationError]:
    """As JSON schema means `$`; Python's also stands before a line feed at the end, which no name may have."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError(f"{instance!r} does not match {pattern!r}")


# Whole numbers are written without a point, and none is infinite or undefined, whatever YAML and JSON schema allow.
Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    {"pattern": _at_the_very_end},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda checker, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda checker, value: (
                isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            ),
        }
    ),
)


def method_properties() -> dict[str, dict]:
    """JSON schema of each key that names a method or a parameter of one."""
    parameters: dict[str, dict] = {}
    for kind in schedules().values():
        for name, schema in kind.schema().items():
            parameters.setdefault(name, {**schema, "description": _sentence(name, schema["description"])})
    reused = "|".join(kind.pattern() for kind in reuses().values())
    return {
        "schedule": {"enum": list(schedules()), "description": SCHEDULE},
        **parameters,
        "branch": {"type": "integer", "minimum": 0, "description": BRANCH},
        "reuse": {"type": "string", "pattern": f"^({reused})$", "description": REUSE},
    }


def _sentence(name: str, help: str) -> str:
    """What a parameter is, and by which schedules it is needed; an interval is never missing."""
    needed = [kind.name for kind in schedules().values() if name in kind.schema()]
    who = "default: 1, which is no caching" if name == "interval" else f"`{'`, `'.join(needed)}` needs it"
    return f"{help[0].upper()}{help[1:]}; {who}."


def _add(schema: Any, properties: dict[str, dict]) -> None:
    if isinstance(schema, dict):
        if schema.pop(MARK, False):
            schema["properties"] = {**schema["properties"], **properties}
        for value in schema.values():
            _add(value, properties)
    elif isinstance(schema, list):
        for value in schema:
            _add(value, properties)
