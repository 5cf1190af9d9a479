"""What schedules and reuses have in common: a name, parameters, and all the texts that follow from the two."""

import math
import re
from abc import ABC
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, Self

from deepcache.decimals import DECIMAL, INTEGER, POSITIVE, plain
from deepcache.errors import KeyedError


def parameter(code: str, help: str, *, pattern: str | None = None, **bounds: float) -> Any:
    """A parameter of a part, as a field of its class; the annotation, int or float, says of which type.

    Args:
        code: stands before the value in a path, as the n in `uniform-n5`; "" where the value follows the name.
        help: for the command line and the documentation of the config.
        pattern: of the value in a path, if it is narrower than the type's.
        **bounds: JSON schema's, such as minimum=1 or exclusiveMinimum=1.
    """
    return field(metadata={"code": code, "help": help, "pattern": pattern, "bounds": bounds})


@dataclass(frozen=True)
class Part(ABC):
    """One of the choices that make a method. A subclass is a frozen dataclass whose fields are its parameters.

    Attributes:
        name: in configs, in paths and on the command line.
    """

    name: ClassVar[str]

    @property
    def slug(self) -> str:
        """The part in a path, such as `nonuniform-n10-c15-p1.4` or `forecast1`."""
        shown = ((one.metadata["code"], getattr(self, one.name)) for one in fields(self))
        return self.name + "".join(f"{_lead(code)}{plain(value)}" for code, value in shown)

    @property
    def label(self) -> str:
        """The part in a picture, such as `nonuniform, N = 10, c = 15, p = 1.4`."""
        return ", ".join([self.name, *(f"{_symbol(one)} = {plain(getattr(self, one.name))}" for one in fields(self))])

    @classmethod
    def pattern(cls) -> str:
        """What its slugs look like, without groups."""
        return re.escape(cls.name) + "".join(_lead(one.metadata["code"]) + _pattern(one) for one in fields(cls))

    @classmethod
    def parse(cls, slug: str) -> Self | None:
        """The inverse of `slug`; None where it is the slug of something else."""
        values = [f"{_lead(one.metadata['code'])}(?P<{one.name}>{_pattern(one)})" for one in fields(cls)]
        found = re.fullmatch(re.escape(cls.name) + "".join(values), slug)
        return found and cls(**{one.name: one.type(found[one.name]) for one in fields(cls)})

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """The part with those of the values that are its parameters.

        Raises:
            KeyedError: if one is missing or out of bounds.
        """
        for one in fields(cls):
            if values.get(one.name) is None:
                raise KeyedError(one.name, f"{cls.name} needs it")
            _check(one, values[one.name])
        return cls(**{one.name: one.type(values[one.name]) for one in fields(cls)})

    @classmethod
    def schema(cls) -> dict[str, dict]:
        """JSON schema of each parameter, by its name."""
        types = {int: "integer", float: "number"}
        return {
            one.name: {"type": types[one.type], **one.metadata["bounds"], "description": one.metadata["help"]}
            for one in fields(cls)
        }


def _check(one: Field, value: float) -> None:
    name, bounds = one.name, one.metadata["bounds"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise KeyedError(name, f"must be a finite number, not {value!r}")
    if one.type is int and value != int(value):
        raise KeyedError(name, f"must be an integer, not {value}")
    if value >= 0 and not re.fullmatch(DECIMAL, plain(value)):
        raise KeyedError(name, f"has too many digits for a folder's name: {value}")
    if value < bounds.get("minimum", value):
        raise KeyedError(name, f"must be at least {bounds['minimum']}, not {value}")
    if "exclusiveMinimum" in bounds and not value > bounds["exclusiveMinimum"]:
        raise KeyedError(name, f"must be above {bounds['exclusiveMinimum']}, not {value}")


def _lead(code: str) -> str:
    return f"-{code}" if code else ""


def _symbol(one) -> str:
    return one.metadata["code"].upper() or one.name


def _pattern(one) -> str:
    if one.metadata["pattern"]:
        return one.metadata["pattern"]
    if one.type is float:
        return DECIMAL
    return POSITIVE if one.metadata["bounds"].get("minimum") == 1 else INTEGER
