"""Methods as options of a command line: one for each parameter of each schedule, one for the reuse."""

import argparse

from deepcache.errors import DeepCacheError, KeyedError
from deepcache.methods.discovery import schedules
from deepcache.methods.method import Method, examples
from deepcache.methods.schedule import NamedSchedule

TYPES = {"integer": int, "number": float}
# Where a name alone would not tell what it is the interval or the branch of.
NAMES = {"interval": "cache-interval", "branch": "cache-branch"}


def add_caching_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `method_of` reads; without any of them nothing is cached."""
    known = _without_plan()
    parser.add_argument("--schedule", default="uniform", help=f"when the U-Net runs fully: {', '.join(known)}")
    for name, schema in _parameters().items():
        of = [kind.name for kind in known.values() if name in kind.schema()]
        help = schema["description"] + (f"; of {', '.join(of)}" if len(of) < len(known) else "; 1: no caching")
        parser.add_argument(_option(name), type=TYPES[schema["type"]], metavar=name[0].upper(), help=help)
    parser.add_argument(_option("branch"), type=int, metavar="B", help="where the U-Net is cut, from 0")
    parser.add_argument("--reuse", default="hold", help=f"in place of the feature: {', '.join(examples())}")


def method_of(arguments: argparse.Namespace) -> Method:
    """The method that the options name.

    Raises:
        DeepCacheError: if an option is missing, wrong or not for that schedule; the message names it.
    """
    values = {name: getattr(arguments, _option(name)[2:].replace("-", "_")) for name in (*_parameters(), "branch")}
    values |= {"schedule": arguments.schedule, "reuse": arguments.reuse}
    given = {**values, "schedule": None if arguments.schedule == "uniform" else arguments.schedule}
    given["reuse"] = None if arguments.reuse == "hold" else arguments.reuse
    named = [name for name, value in given.items() if value is not None]
    if values["interval"] is None and named:
        raise DeepCacheError(f"{_option(named[0])}: nothing is cached without {_option('interval')}: give it, too")
    if values["interval"] is None:
        values["interval"] = 1
    try:
        if arguments.schedule not in _without_plan():
            raise KeyedError("schedule", f"must be one of {', '.join(_without_plan())}, not {arguments.schedule!r}")
        if values["interval"] == 1:  # no caching; the others are checked all the same
            Method.from_mapping({**values, "interval": 2})
        return Method.from_mapping(values)
    except KeyedError as error:
        raise DeepCacheError(f"{_option(error.key)}: {error.problem}") from error


def _without_plan() -> dict[str, type[NamedSchedule]]:
    return {name: kind for name, kind in schedules().items() if not kind.takes_plan}


def _parameters() -> dict[str, dict]:
    """JSON schema of all parameters of these schedules, by name."""
    return {name: schema for kind in _without_plan().values() for name, schema in kind.schema().items()}


def _option(name: str) -> str:
    return f"--{NAMES.get(name, name)}"
