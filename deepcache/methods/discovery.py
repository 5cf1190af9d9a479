"""Which schedules and reuses there are: those that a file of this folder or of beyond/methods defines."""

import functools
import importlib
import inspect
import pkgutil
from pathlib import Path
from types import ModuleType

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
                if one.name in found:
                    raise TypeError(f"{one.__qualname__} and {found[one.name].__qualname__} have the name {one.name}")
                found[one.name] = one
    return found


def _modules() -> list[ModuleType]:
    packages = [importlib.import_module(name) for name in PACKAGES]
    return [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for package in packages
        for module in pkgutil.iter_modules(package.__path__)
        if module.name != "discovery"
    ]
