"""Text files are in UTF-8, whatever the locale says: whoever opens one says so."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("deepcache", "workflow", "snakemake_logger_plugin_live", "tests")
OPENERS = {"Image", "lmdb", "tarfile", "archive"}  # whose `open` is not of text


def is_silent(call: ast.Call) -> bool:
    """Whether a call opens a text file and leaves its encoding to the locale."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if any(keyword.arg == "encoding" for keyword in call.keywords):
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name != "open" or (isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) in OPENERS):
        return False
    modes = call.args[0 if isinstance(call.func, ast.Attribute) else 1 :][:1]
    return not (modes and isinstance(modes[0], ast.Constant) and "b" in modes[0].value) and not (
        modes and not isinstance(modes[0], ast.Constant)
    )


def silent_calls(source: str) -> list[int]:
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if is_silent(call)]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("path.read_text()", [1]),
        ("path.write_text(text)", [1]),
        ("path.open()", [1]),
        ("open(path, 'w')", [1]),
        ("open(path, 'rb')", []),
        ("path.open('wb')", []),
        ("Image.open(path)", []),
        ("path.read_text(encoding='utf-8')", []),
        ("path.open('w', encoding='utf-8')", []),
    ],
)
def test_what_is_found(source, found):
    assert silent_calls(source) == found


def test_no_file_is_read_or_written_in_the_locales_encoding():
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): silent_calls(path.read_text(encoding="utf-8")) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}
