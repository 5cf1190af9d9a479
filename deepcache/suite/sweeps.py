"""Rows of tables that sweep values, spelt out: `for` in a row stands for as many rows as it lists values."""

import re
from collections.abc import Mapping
from typing import Any

from deepcache.errors import KeyedError


def spell_out(config: dict) -> dict:
    """The config with every row of a table spelt out.

    A row with `for: {interval: [2, 3], center: [10, 20]}` becomes two, in which `{interval}` and `{center}` are
    replaced by their values, in order; a text that is nothing but such a name becomes the value itself.

    Raises:
        KeyedError: if a `for` is no mapping of names to lists of one length.
    """
    if not isinstance(config.get("tables"), dict):
        return config  # which its schema refuses
    tables = {name: _table(f"tables.{name}", table) for name, table in config["tables"].items()}
    return {**config, "tables": tables}


def _table(key: str, table: Any) -> Any:
    if not isinstance(table, dict) or not isinstance(table.get("rows"), list):
        return table
    rows = [one for i, row in enumerate(table["rows"]) for one in _rows(f"{key}.rows[{i}]", row)]
    return {**table, "rows": rows}


def _rows(key: str, row: Any) -> list:
    if not isinstance(row, dict) or "for" not in row:
        return [row]
    swept = row["for"]
    if not isinstance(swept, dict) or not swept or not all(isinstance(values, list) for values in swept.values()):
        raise KeyedError(f"{key}.for", "must list the values of each name, such as {interval: [2, 3, 5]}")
    lengths = {len(values) for values in swept.values()}
    if 0 in lengths:
        raise KeyedError(f"{key}.for", "lists no value")
    if len(lengths) != 1:
        raise KeyedError(f"{key}.for", "must list as many values of one name as of another")
    template = {name: value for name, value in row.items() if name != "for"}
    foreign = sorted(set(re.findall(r"\{(\w+)\}", str(template))) - set(swept))
    if foreign:
        raise KeyedError(f"{key}.for", f"lists no values of {{{foreign[0]}}}, which stands in the row")
    unused = [name for name in swept if f"{{{name}}}" not in str(template)]
    if unused:
        raise KeyedError(f"{key}.for", f"{{{unused[0]}}} stands nowhere in the row")
    names = list(swept)
    return [_filled(template, dict(zip(names, values, strict=True))) for values in zip(*swept.values(), strict=True)]


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(template, dict):
        return {key: _filled(value, values) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, values) for value in template]
    if not isinstance(template, str):
        return template
    if template[1:-1] in values and template == f"{{{template[1:-1]}}}":
        return values[template[1:-1]]
    return re.sub(r"\{(\w+)\}", lambda found: str(values.get(found[1], found[0])), template)
