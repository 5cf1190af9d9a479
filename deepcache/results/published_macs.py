"""MACs that the paper printed: the cells of Tables 1, 2, 3 and 12, each with the pass of a model that it stands for."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepcache.errors import DeepCacheError
from deepcache.models.paper import ARCHITECTURES, Architecture

LSUN_AND_CIFAR = {
    "CIFAR-10": "ddpm-cifar10",
    "LSUN-Bedroom": "ddpm-lsun-bedroom",
    "LSUN-Churches": "ddpm-lsun-churches",
}
STABLE_DIFFUSION = {
    "PLMS - 50 steps": "sd-v1-5",
    "PLMS - 25 steps": "sd-v1-5",
    "DeepCache N=5": "sd-v1-5",
    "BK-SDM - Base": "bk-sdm-base",
    "BK-SDM - Small": "bk-sdm-small",
    "BK-SDM - Tiny": "bk-sdm-tiny",
}


@dataclass(frozen=True)
class Counts:
    """MACs of one architecture at batch 1, in G (1e9).

    Attributes:
        full: of a full pass.
        shallow: of the shallow passes, by 0-based branch.
    """

    full: float
    shallow: dict[int, float]


@dataclass(frozen=True)
class Cell:
    """One number of the paper's columns "MACs".

    Attributes:
        table: the paper's number of its table.
        model: a name in deepcache.models.paper.ARCHITECTURES.
        method: as the table calls it.
        interval: N.
        branch: where the model is cut, from 0; None where every step runs fully.
        steps: of the sampler.
        printed: the number as printed, in G.
        explain: says why ours differs, where that is known.
    """

    table: int
    model: str
    method: str
    interval: int
    branch: int | None
    steps: int
    printed: str
    explain: Callable[["Cell", Counts], str] | None = None

    @property
    def paper(self) -> float:
        """The number that was printed, in G."""
        return float(self.printed)

    @property
    def decimals(self) -> int:
        """How many were printed."""
        return len(self.printed.partition(".")[2])


def _upsampler_left_out(cell: Cell, counts: Counts) -> str:
    """Why two rows of Table 12 are lower in the paper."""
    return "the paper leaves out an upsampler's convolution in this branch"


def _no_such_branch(cell: Cell, counts: Counts) -> str:
    """Say which shallow pass the paper's average implies, and between which two branches that lies."""
    full_steps = -(-cell.steps // cell.interval)
    implied = (cell.steps * cell.paper - full_steps * counts.full) / (cell.steps - full_steps)
    below, above = counts.shallow[cell.branch], counts.shallow[cell.branch + 1]
    if not below < implied < above:
        raise DeepCacheError(
            f"Table {cell.table}, {cell.method}: {cell.paper} G implies a shallow pass of {implied:.1f} G"
        )
    return (
        f"the paper's average needs a shallow pass of {implied:.1f} G, which no branch gives: "
        f"branch {cell.branch} takes {below:.2f} G, branch {cell.branch + 1} {above:.2f} G"
    )


def _table1(rows: list[dict]) -> Iterator[Cell]:
    """LDM-4-G; the other rows are quoted from works on other models."""
    model = "ldm4g-imagenet"
    known = ARCHITECTURES[model]
    for row in rows:
        if row["schedule"] or row["method"] == "LDM-4":
            interval = int(row["interval"] or 1)
            branch = known.branch if interval > 1 else None
            yield Cell(1, model, row["method"], interval, branch, known.steps, row["macs_g"])


def _table2(rows: list[dict]) -> Iterator[Cell]:
    """DDPM; Diff-Pruning, which has no interval, is another model."""
    for row in rows:
        if row["interval"]:
            model, interval = LSUN_AND_CIFAR[row["dataset"]], int(row["interval"])
            known = ARCHITECTURES[model]
            branch = known.branch if interval > 1 else None
            yield Cell(2, model, row["method"], interval, branch, known.steps, row["macs_g"])


def _table3(rows: list[dict]) -> Iterator[Cell]:
    """Stable Diffusion and BK-SDM, for both sets of prompts."""
    for row in rows:
        model, interval = STABLE_DIFFUSION[row["method"]], int(row["interval"])
        branch = ARCHITECTURES[model].branch if interval > 1 else None
        method = f"{row['method']} ({row['prompts']})"
        explain = _no_such_branch if interval == 5 else None
        yield Cell(3, model, method, interval, branch, int(row["steps"]), row["macs_g"], explain)


def _table12(rows: list[dict]) -> Iterator[Cell]:
    """Every branch of the CIFAR-10 model; the paper counts them from 1."""
    model = "ddpm-cifar10"
    for row in rows:
        number, interval = int(row["skip_branch"]), int(row["interval"])
        explain = _upsampler_left_out if number in (7, 8) else None
        steps, method = ARCHITECTURES[model].steps, f"skip branch {number}"
        yield Cell(12, model, method, interval, number - 1, steps, row["macs_g"], explain)


TABLES = {
    "table01_imagenet_ldm4g.csv": _table1,
    "table02_ddpm.csv": _table2,
    "table03_sd15.csv": _table3,
    "table12_branches_cifar10.csv": _table12,
}


def published_cells(folder: Path) -> list[Cell]:
    """Read the paper's numbers, in their order.

    Args:
        folder: with the paper's tables as CSV.

    Raises:
        DeepCacheError: if a table is missing or is not what it should be.
    """
    cells = []
    for name, read in TABLES.items():
        try:
            with (folder / name).open(newline="", encoding="utf-8") as file:
                found = list(read(list(csv.DictReader(file))))
            if not found or not all(cell.paper > 0 for cell in found):
                raise ValueError("no rows, or a macs_g that is not positive")
        except (OSError, KeyError, ValueError) as error:
            raise DeepCacheError(f"{folder / name}: cannot be read as a published table ({error!r})") from error
        cells += found
    return cells


def branches_needed(cells: list[Cell]) -> dict[Architecture, set[int]]:
    """The branches to count, by architecture; two models of one architecture are counted once."""
    needed: dict[Architecture, set[int]] = {}
    for cell in cells:
        branches = needed.setdefault(ARCHITECTURES[cell.model], set())
        if cell.branch is not None:
            branches.add(cell.branch)
        if cell.explain is _no_such_branch:
            branches.add(cell.branch + 1)
    return needed
