"""The reference of the config's keys, and the schema that it is made from."""

import subprocess
import sys
from pathlib import Path

import pytest

from deepcache.suite.reference import Reference
from deepcache.suite.schema import read_schema

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = read_schema(ROOT / "config/schema.yaml")


def reference(properties: dict, **more) -> str:
    return Reference({"properties": properties, **more}).to_markdown()


def test_the_page_is_what_the_schema_says():
    command = "python workflow/scripts/config_reference.py"
    up_to_date = (ROOT / "config/README.md").read_text(encoding="utf-8") == Reference(SCHEMA).to_markdown()
    assert up_to_date, f"config/schema.yaml has changed: run `{command}`"


def test_the_program_writes_the_page(tmp_path):
    program = ROOT / "workflow/scripts/config_reference.py"
    subprocess.run([sys.executable, program, "--output", tmp_path / "page.md"], check=True)
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == Reference(SCHEMA).to_markdown()


def test_every_key_has_a_description_of_one_line():
    assert Reference(SCHEMA).undescribed() == []
    assert "\n\n\n" not in Reference(SCHEMA).to_markdown()


def test_a_key_without_a_description_is_found_wherever_it_is():
    described = {"type": "string", "description": "D."}
    entry = {"type": "object", "properties": {"a": described, "b": {"type": "string"}}}
    other = {"type": "object", "properties": {"a": {"type": "string"}}}
    node = {"type": "array", "items": {"anyOf": [entry, other]}, "description": "D."}
    schema = {"properties": {"k": node}, "$defs": {"d": {"type": "object", "properties": {"c": {"type": "string"}}}}}
    assert Reference(schema).undescribed() == ["k[].a", "k[].b", "d", "d.c"]


def test_a_reference_to_another_key_takes_its_words_but_one_to_a_type_does_not():
    defs = {
        "count": {"type": "integer", "minimum": 1, "description": "1 or more."},
        "run": {"description": "D.", "properties": {"n": {"type": "integer", "description": "N."}}},
    }
    properties = {"m": {"$ref": "#/$defs/run/properties/n"}, "c": {"$ref": "#/$defs/count"}}
    assert Reference({"properties": properties, "$defs": defs}).undescribed() == ["c"]


@pytest.mark.parametrize(
    ("node", "cells"),
    [
        ({"type": "boolean"}, "boolean | `true`, `false`"),
        ({"enum": ["a", "b"]}, "text | `a`, `b`"),
        ({"type": "number", "exclusiveMinimum": 0}, "number | above 0"),
        ({"type": "integer", "minimum": -1, "maximum": 1}, "integer | -1 to 1"),
        ({"type": "string", "pattern": "^(a|b)$"}, "text | matches `^(a\\|b)$`"),
        ({"type": "array", "minItems": 2, "items": {"type": "integer"}}, "list of integers | at least 2"),
        ({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "string"}}, "list of text | 2 of them"),
        ({"type": "object", "additionalProperties": {"type": ["string", "number"]}}, "text or number, by name | "),
        ({"$ref": "#/$defs/count"}, "integer | 1 or more"),
        ({"$ref": "#/$defs/value"}, "[value](#value) | "),
    ],
)
def test_types_and_values_in_words(node, cells):
    defs = {
        "count": {"type": "integer", "minimum": 1, "description": "1 or more."},
        "value": {"enum": ["a"], "description": "D."},
    }
    assert f"| `k` | {cells} | no | D. |" in reference({"k": {**node, "description": "D."}}, **{"$defs": defs})


def test_when_a_key_is_needed():
    one = {"type": "string", "description": "D."}
    rules = [
        {"if": {"properties": {"s": {"const": value}}}, "then": {"required": ["f"]}, "else": {"required": ["g"]}}
        for value in ("x", True)
    ]
    page = reference({"s": one, "f": one, "g": one, "h": one}, allOf=rules, required=["s"])
    assert "| `s` | text |  | yes |" in page
    assert "| `f` | text |  | with `s: x` or `s: true` |" in page
    assert "| `g` | text |  | unless `s: x` or `s: true` |" in page
    assert "| `h` | text |  | no |" in page
