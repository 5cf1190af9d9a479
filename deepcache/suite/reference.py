"""The reference of the config's keys, in Markdown, out of its JSON schema. Imports nothing heavy."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

# The types of a JSON schema in words, and several of them.
TYPES = {"string": "text", "object": "mapping"}
PLURALS = {"mapping": "mappings", "integer": "integers", "number": "numbers"}
LIMITS = ("enum", "minimum", "exclusiveMinimum", "pattern")
NAME = "<name>"
INTRODUCTION = """\
# The config

Every key of a suite, written by `workflow/scripts/config_reference.py` from `config/schema.yaml`: edit that. A suite is
a YAML file that names all the required keys, or `extends: FILE`: then it has everything from that file, and replaces
what it names, key by key; a key set to `null` is removed. What a table's columns mean, says
[docs/tables.md](../docs/tables.md); what the paper's numbers are, [published/](published/README.md).

`<name>` stands for a name of one's own, `[]` for each entry of a list.
"""


@dataclass(frozen=True)
class Key:
    """One key of the config.

    Attributes:
        path: from the section's beginning, such as `<name>.source`.
        type: in words.
        allowed: values, in words; empty where all of the type are.
        required: `yes`, `no`, or when.
        description: the schema's; empty where it has none.
    """

    path: str
    type: str
    allowed: str
    required: str
    description: str


class Reference:
    """What a schema says of its keys.

    Args:
        schema: a JSON schema as plain values; references lead into itself.
    """

    def __init__(self, schema: dict):
        self.schema = schema

    def to_markdown(self) -> str:
        """All of it: the keys at the top, a section for each that has others below it, and one for each definition."""
        top = [replace(key, path=self._linked(key.path)) for key in self._keys(self.schema, deep=False)]
        parts = [INTRODUCTION, "## At the top", "", *_table(top)]
        for name, node in self.schema["properties"].items():
            if keys := list(self._below(node, "")):
                parts += ["", f"## {name}", "", *_table(keys)]
        for name, node in self.definitions().items():
            parts += ["", f"## {name}", "", f"{node['description']}", ""]
            parts += _table(list(self._keys(node))) if "properties" in node else [f"One of {self._allowed(node)}."]
        return "\n".join(parts) + "\n"

    def undescribed(self) -> list[str]:
        """Every key, as a path, that has no description, and every definition that has none."""
        found = [key.path for key in self._keys(self.schema) if not key.description]
        for name, node in self.schema.get("$defs", {}).items():
            found += [] if "description" in node else [name]
            found += [f"{name}.{key.path}" for key in self._keys(node) if not key.description]
        return found

    def definitions(self) -> dict[str, dict]:
        """The schema's definitions that have a section of their own: mappings and enumerations."""
        named = self.schema.get("$defs", {})
        return {name: node for name, node in named.items() if "properties" in node or "enum" in node}

    def _linked(self, name: str) -> str:
        has_section = any(self._below(self.schema["properties"][name], ""))
        return f"[{name}](#{name})" if has_section else name

    def _keys(self, node: dict, prefix: str = "", deep: bool = True) -> Iterator[Key]:
        """The keys of a mapping, each followed by those below it."""
        for name, child in node.get("properties", {}).items():
            yield self._key(f"{prefix}{name}", child, _required(node, name))
            if deep:
                yield from self._below(child, f"{prefix}{name}")

    def _key(self, path: str, node: dict, required: str) -> Key:
        return Key(path, self._type(node), self._allowed(node), required, self._description(node))

    def _below(self, node: dict, prefix: str) -> Iterator[Key]:
        """The keys below a node, through the entries of lists and the values of mappings with names of one's own."""
        if self._definition(node):
            return
        node = self._resolved(node)
        inner = f"{prefix}." if prefix else ""
        yield from self._keys(node, inner)
        if isinstance(values := node.get("additionalProperties"), dict):
            yield from self._below(values, f"{inner}{NAME}")
        if "items" in node:
            yield from self._forms(node["items"], f"{prefix}[]")

    def _forms(self, node: dict, prefix: str) -> Iterator[Key]:
        """As `_below`; keys that several forms of an entry share are named once."""
        forms = node.get("anyOf", [node])
        found: dict[str, list[Key]] = {}
        for form in forms:
            for key in self._below(form, prefix):
                found.setdefault(key.path, []).append(key)
        mappings = sum("properties" in form for form in forms)
        for keys in found.values():
            required = keys[0].required if len(keys) == mappings else "in one form"
            described = all(key.description for key in keys)
            yield replace(keys[0], required=required, description=keys[0].description if described else "")

    def _resolved(self, node: dict) -> dict:
        """A node with what it refers to; what it says itself counts."""
        if "$ref" not in node:
            return node
        target = self.schema
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return {**self._resolved(target), **{key: value for key, value in node.items() if key != "$ref"}}

    def _definition(self, node: dict) -> str:
        """The definition with a section that a node refers to; empty where it does not."""
        name = node.get("$ref", "").removeprefix("#/$defs/")
        return name if name in self.definitions() else ""

    def _description(self, node: dict) -> str:
        """A key's own words, or those of the key that it refers to; a definition's words are not a key's."""
        refers_to_key = "/properties/" in node.get("$ref", "")
        return (self._resolved(node) if refers_to_key else node).get("description", "")

    def _type(self, node: dict) -> str:
        if name := self._definition(node):
            return f"[{name}](#{name})"
        if "anyOf" in node and "type" not in node:
            return " or ".join(dict.fromkeys(self._type(form) for form in node["anyOf"]))
        node = self._resolved(node)
        if node.get("type") == "array":
            entries = self._type(node["items"])
            return f"list of {' or '.join(PLURALS.get(one, one) for one in entries.split(' or '))}"
        values = node.get("additionalProperties")
        if node.get("type") == "object" and isinstance(values, dict):
            return f"{self._type(values)}, by name"
        types = node.get("type", "string")
        return " or ".join(TYPES.get(one, one) for one in ([types] if isinstance(types, str) else types))

    def _allowed(self, node: dict) -> str:
        if self._definition(node):
            return ""
        said = self._said_by_definition(node)
        node = self._resolved(node)
        parts = [said] if said else _limits(node)
        if names := node.get("propertyNames", {}).get("enum"):
            parts.append(f"names: {_listed(names)}")
        if node.get("type") == "array":
            parts += [self._allowed(node["items"]), *_lengths(node)]
        elif isinstance(values := node.get("additionalProperties"), dict) and "properties" not in values:
            parts.append(self._allowed(values))
        return "; ".join(filter(None, parts))

    def _said_by_definition(self, node: dict) -> str:
        """What a definition without a section says of its values, if it limits them."""
        name = node.get("$ref", "").removeprefix("#/$defs/")
        definition = self.schema.get("$defs", {}).get(name, {})
        return definition.get("description", "").removesuffix(".") if definition.keys() & {*LIMITS} else ""


def _required(node: dict, name: str) -> str:
    """Whether a mapping needs a key, or when."""
    if name in node.get("required", ()):
        return "yes"
    cases: dict[str, list[str]] = {}
    for rule in [node, *node.get("allOf", ())]:
        for branch, word in (("then", "with"), ("else", "unless")):
            if name in rule.get(branch, {}).get("required", ()):
                cases.setdefault(word, []).append(_condition(rule["if"]))
    choices = [one["required"] for one in node.get("anyOf", ()) if one.keys() == {"required"}]
    if not cases:
        return "this or another" if [name] in choices else "no"
    return ", ".join(f"{word} {' or '.join(conditions)}" for word, conditions in cases.items())


def _condition(node: dict) -> str:
    """What a rule asks of a mapping's keys, as it stands in a config."""
    asked = [(key, one.get("enum", [one.get("const")])) for key, one in node["properties"].items()]
    return " and ".join(" or ".join(f"`{key}: {_plain(value)}`" for value in values) for key, values in asked)


def _limits(node: dict) -> list[str]:
    low, high = node.get("minimum"), node.get("maximum")
    if "enum" in node:
        return [_listed(node["enum"])]
    if node.get("type") == "boolean":
        return [_listed([True, False])]
    if high is not None:
        return [f"{low} to {high}"]
    if low is not None:
        return [f"{low} or more"]
    if "exclusiveMinimum" in node:
        return [f"above {node['exclusiveMinimum']}"]
    return [f"matches `{node['pattern']}`"] if "pattern" in node else []


def _lengths(node: dict) -> list[str]:
    least, most = node.get("minItems", 0), node.get("maxItems")
    if least == most:
        return [f"{most} of them"]
    return [f"at least {least}"] * (least > 1) + [f"at most {most}"] * (most is not None)


def _listed(values: list) -> str:
    return ", ".join(f"`{_plain(value)}`" for value in values)


def _plain(value) -> str:
    """A value as it stands in a config."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(keys: list[Key]) -> list[str]:
    lines = ["| key | type | allowed | required | what it is |", "|---|---|---|---|---|"]
    for key in keys:
        name = key.path if key.path.startswith("[") else f"`{key.path}`"
        cells = [cell.replace("|", "\\|") for cell in (name, key.type, key.allowed, key.required, key.description)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines
