"""Files, functions, programs and rules are small enough to be read at once."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILE, FUNCTION, MAIN, RULE = 300, 59, 40, 20  # lines at most; of a rule, those that are not blank
PYTHON = [path for folder in ("deepcache", "workflow") for path in sorted((ROOT / folder).rglob("*.py"))]
SNAKEMAKE = [ROOT / "Snakefile", *sorted((ROOT / "rules").rglob("*.smk"))]
PROGRAMS = sorted((ROOT / "workflow/scripts").rglob("*.py"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines of every function and method, without its decorators."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def rules(path: Path) -> Iterator[tuple[str, int]]:
    """Name and lines, without blank ones, of every rule and checkpoint."""
    name, indent, count = None, 0, 0
    for line in filter(str.strip, path.read_text(encoding="utf-8").splitlines()):
        depth = len(line) - len(line.lstrip())
        if name is not None and depth <= indent:
            yield name, count
            name = None
        if start := re.match(r"\s*(?:rule|checkpoint)\s+(\w+)", line):
            name, indent, count = start[1], depth, 0
        count += 1
    if name is not None:
        yield name, count


def longer(paths: Iterable[Path], count, most: int) -> list[str]:
    """What has more lines than it may have; `count` gives names and lines of a file."""
    return [
        f"{path.relative_to(ROOT)}, {name}: {lines} lines"
        for path in paths
        for name, lines in count(path)
        if lines > most
    ]


def test_files():
    assert len(PYTHON) > 150 and len(SNAKEMAKE) > 10
    assert (
        longer([*PYTHON, *SNAKEMAKE], lambda path: [("all", len(path.read_text(encoding="utf-8").splitlines()))], FILE)
        == []
    )


def test_functions():
    assert longer(PYTHON, functions, FUNCTION) == []


def test_programs_parse_call_and_write():
    assert len(PROGRAMS) > 30
    assert longer(PROGRAMS, lambda path: [one for one in functions(path) if one[0] == "main"], MAIN) == []


def test_rules():
    assert sum(1 for path in SNAKEMAKE for _ in rules(path)) > 20
    assert longer(SNAKEMAKE, rules, RULE) == []


@pytest.mark.parametrize(
    "text",
    [
        "rule a:\n    input: 1\n\n    output: 2\n\n\nrule b:\n    input: 1\n",
        "if x:\n\n    rule a:\n        input: 1\n        output: 2\n\nelse:\n\n    checkpoint b:\n        input: 1\n",
    ],
)
def test_lines_of_rules_are_counted(tmp_path, text):
    (tmp_path / "x.smk").write_text(text, encoding="utf-8")
    assert list(rules(tmp_path / "x.smk")) == [("a", 3), ("b", 2)]
