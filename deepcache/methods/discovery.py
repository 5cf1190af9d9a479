"""Which schedules and reuses there are: those that a file of this folder or of beyond/methods defines."""

import functools
import importlib
import inspect
import pkgutil
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

from deepcache.errors import DeepCacheError
from deepcache.methods.reuse import NamedReuse
from deepcache.methods.schedule import NamedSchedule

PACKAGES = ("deepcache.methods", "deepcache.beyond.methods")


@functools.cache
def schedules() -> dict[str, type[NamedSchedule]]:
    """Classes of schedules by their names, the paper's first."""
    return _named(NamedSchedule)


@functools.cache
def reuses() -> dict[str, type[NamedReuse]]:
    """Classes of reuses by their names, the paper's first."""
    return _named(NamedReuse)


def source_file(kind: type) -> Path:
    """The file that defines a class."""
    return Path(inspect.getfile(kind)).resolve()


def _named(kind: type) -> dict:
    found: dict[str, type] = {}
    for module in _modules():
        for one in vars(module).values():
            if inspect.isclass(one) and issubclass(one, kind) and one.__module__ == module.__name__ and one is not kind:
                _check(one, found)
                found[one.name] = one
    return found


def _check(kind: type, others: dict[str, type]) -> None:
    """Refuse a class that cannot be named or would not work, with the file that it stands in."""
    name = getattr(kind, "name", None)
    letters = [one.metadata["code"] for one in fields(kind) if one.metadata.get("code")]
    left_out = sorted(getattr(kind, "__abstractmethods__", ()))
    problem = None
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9]*", name):
        problem = f"needs a `name` of small letters and digits, not {name!r}"
    elif name in others:
        problem = f"has the name {name}, as {others[name].__name__} in {source_file(others[name])}"
    elif left_out:
        problem = f"does not define {left_out[0]}"
    elif len({*letters, "b"}) <= len(letters):
        problem = "has two parameters with the same letter, or one with b, which is the branch's"
    if problem:
        raise DeepCacheError(f"{source_file(kind)}: {kind.__name__} {problem}")


def _modules() -> list[ModuleType]:
    packages = [importlib.import_module(name) for name in PACKAGES]
    return [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for package in packages
        for module in pkgutil.iter_modules(package.__path__)
        if module.name != "discovery"
    ]
