"""Warnings beside the paper's numbers: what of its settings is not known, or not the same here."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from deepcache.errors import DeepCacheError

FILE = "differences.yaml"


@dataclass(frozen=True)
class Touched:
    """Cells of the paper that a difference touches.

    Attributes:
        warning: what is not known or another one, in a few words.
        table: the paper's number.
        columns: of that table.
        rows: sought in a row's labels, such as `dataset=CIFAR-10, method=N=5, interval=5`.
    """

    warning: str
    table: int
    columns: tuple[str, ...]
    rows: re.Pattern[str]

    def has(self, table: int, row: str, column: str) -> bool:
        """Whether a cell is among them."""
        return table == self.table and column in self.columns and self.rows.search(row) is not None


def read_differences(folder: Path) -> list[Touched]:
    """Read what stands beside the paper's tables, if anything; DeepCacheError, naming the file, where it is damaged."""
    path = folder / FILE
    if not path.exists():
        return []
    try:
        return [
            Touched(one["warning"], int(cells["table"]), tuple(cells["columns"]), re.compile(cells.get("rows", "")))
            for one in yaml.safe_load(path.read_text(encoding="utf-8"))
            for cells in one["cells"]
        ]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, re.error) as error:
        raise DeepCacheError(f"{path}: cannot be read as a list of differences ({error!r})") from error


def warnings_of(differences: Iterable[Touched], table: int, row: str, column: str) -> str:
    """All that touch a cell, joined by "; "; empty where there is none."""
    return "; ".join(dict.fromkeys(one.warning for one in differences if one.has(table, row, column)))


def check_all_touch(differences: Iterable[Touched], cells: Iterable[tuple[int, str, str]]) -> None:
    """DeepCacheError if a difference touches none of the cells (table, row, column): something in it is misspelt."""
    cells = list(cells)
    for one in differences:
        if not any(one.has(*cell) for cell in cells):
            where = f"Table {one.table}, {', '.join(one.columns)}, rows {one.rows.pattern!r}"
            raise DeepCacheError(f"{FILE}: {one.warning!r} touches no number of the paper ({where}): correct it")
