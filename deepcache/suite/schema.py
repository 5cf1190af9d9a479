"""The schema of a suite's config, with the methods that there are."""

from pathlib import Path
from typing import Any

import yaml

from deepcache.methods.discovery import reuses, schedules

MARK = "x-method"  # where a schema says so, the properties of a method are added


def read_schema(path: str | Path) -> dict[str, Any]:
    """The JSON schema in a YAML file, with the properties of methods where it asks for them."""
    schema = yaml.safe_load(Path(path).read_text())
    _add(schema, method_properties())
    return schema


def method_properties() -> dict[str, dict]:
    """JSON schema of each key that names a method or a parameter of one."""
    parameters = {name: schema for kind in schedules().values() for name, schema in kind.schema().items()}
    reused = "|".join(kind.pattern() for kind in reuses().values())
    return {
        "schedule": {"enum": list(schedules()), "description": "when the U-Net runs fully; default: uniform"},
        **parameters,
        "branch": {"type": "integer", "minimum": 0, "description": "where the U-Net is cut, from 0"},
        "reuse": {
            "type": "string",
            "pattern": f"^({reused})$",
            "description": "what takes the place of the skipped feature; default: hold",
        },
    }


def _add(schema: Any, properties: dict[str, dict]) -> None:
    if isinstance(schema, dict):
        if schema.pop(MARK, False):
            schema["properties"] = {**schema["properties"], **properties}
        for value in schema.values():
            _add(value, properties)
    elif isinstance(schema, list):
        for value in schema:
            _add(value, properties)
