"""Which modules of the project a program imports, directly or through others, read off the syntax trees."""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "deepcache"


@functools.cache
def import_closure(program: Path, root: Path) -> tuple[Path, ...]:
    """The project's modules without which a program cannot run, sorted; imports within functions count, too.

    Args:
        program: a file of Python.
        root: the folder in which the package `deepcache` lies.

    Returns:
        Paths below `root`; the program itself is not among them.
    """
    found: set[Path] = set()
    waiting = [program]
    while waiting:
        new = _imported_by(waiting.pop(), root) - found
        found |= new
        waiting += new
    return tuple(sorted(found))


@functools.cache
def code_digest(program: Path, root: Path) -> str:
    """Of the contents and places of a program and its import closure, 16 hexadecimal digits."""
    files = (program, *import_closure(program, root))
    contents = [f"{file.relative_to(root)} {_sha256(file)}" for file in files]
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()[:16]


@functools.cache
def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _imported_by(path: Path, root: Path) -> frozenset[Path]:
    """The project's modules that one file names, with the packages that they lie in."""
    found: set[Path] = set()
    for name in imported_names(path):
        found |= home_files(name, root)
    return frozenset(found - {path})


def imported_names(path: Path) -> Iterator[str]:
    """Dotted names of what a file imports, within functions, too; of `from a import b`, `a.b`, whatever b is."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def home_files(name: str, root: Path) -> set[Path]:
    """The module of the project that a dotted name stands for or comes from, and the packages above it.

    A public name such as deepcache.DeepCache stands for its place in the module that defines it.
    """
    name = _homes(root).get(name.removeprefix(f"{PACKAGE}."), name)
    if name.partition(".")[0] != PACKAGE:
        return set()
    found, folder = set(), root
    for part in name.split("."):
        module, package = folder / f"{part}.py", folder / part / "__init__.py"
        folder /= part
        if module.is_file():
            found.add(module)
        elif package.is_file():
            found.add(package)
        else:  # something within the module
            break
    return found


@functools.cache
def _homes(root: Path) -> dict[str, str]:
    """The table of public names in the package's __init__.py, which imports them when they are first used."""
    for node in ast.parse((root / PACKAGE / "__init__.py").read_bytes()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            return ast.literal_eval(node.value)
    return {}
