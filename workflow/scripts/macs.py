"""Count the MACs of the paper's models and compare them with Tables 1, 2, 3 and 12.

Every number of ours is counted from the architecture; no weights are needed. Writes a CSV file, and a Markdown table
beside it.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepcache import cli
from deepcache.errors import DeepCacheError

COLUMNS = ("table", "model", "method", "branch", "interval", "macs_g", "macs_g_paper", "rel_error", "note")
TOLERANCE = 0.005  # a relative error beyond this one needs a note
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
    """G MACs of one architecture: a full pass, and shallow passes by branch."""

    full: float
    shallow: dict[int, float]


@dataclass(frozen=True)
class Cell:
    """One MACs number of the paper, G, as printed; `branch` counts from 0, None where every step runs fully."""

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
        """The paper's number."""
        return float(self.printed)


def architecture(model: str):
    """Look a model up."""
    from deepcache.models.paper import ARCHITECTURES

    return ARCHITECTURES[model]


def count(known, branches: set[int]) -> Counts:
    """Count an architecture's full pass and the shallow passes of some branches."""
    from deepcache.cost.macs import branches_macs
    from deepcache.models.dummy_inputs import dummy_inputs

    unet = known.build()
    return Counts(*branches_macs(unet, sorted(branches), dummy_inputs(unet, 1, None, "meta", tokens=known.tokens)))


def step_macs(cell: Cell, counts: Counts) -> float:
    """G MACs a step, averaged over the trajectory; PLMS with 25 steps counts as half of 50, as in the paper."""
    from deepcache.caching.schedules import average_macs, uniform

    if cell.branch is None:
        return counts.full * cell.steps / architecture(cell.model).steps
    # Only the number of full steps counts, and a non-uniform schedule has as many.
    return average_macs(counts.full, counts.shallow[cell.branch], cell.steps, uniform(cell.steps, cell.interval))


def upsampler_left_out(cell: Cell, counts: Counts) -> str:
    """Why two rows of Table 12 are lower in the paper."""
    return "the paper leaves out an upsampler's convolution in this branch"


def no_such_branch(cell: Cell, counts: Counts) -> str:
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


def table1(rows: list[dict]) -> Iterator[Cell]:
    """LDM-4-G; the other rows are quoted from works on other models."""
    model = "ldm4g-imagenet"
    known = architecture(model)
    for row in rows:
        if row["schedule"] or row["method"] == "LDM-4":
            interval = int(row["interval"] or 1)
            branch = known.branch if interval > 1 else None
            yield Cell(1, model, row["method"], interval, branch, known.steps, row["macs_g"])


def table2(rows: list[dict]) -> Iterator[Cell]:
    """DDPM; Diff-Pruning, which has no interval, is another model."""
    for row in rows:
        if row["interval"]:
            model, interval = LSUN_AND_CIFAR[row["dataset"]], int(row["interval"])
            known = architecture(model)
            branch = known.branch if interval > 1 else None
            yield Cell(2, model, row["method"], interval, branch, known.steps, row["macs_g"])


def table3(rows: list[dict]) -> Iterator[Cell]:
    """Stable Diffusion and BK-SDM, for both sets of prompts."""
    for row in rows:
        model, interval = STABLE_DIFFUSION[row["method"]], int(row["interval"])
        branch = architecture(model).branch if interval > 1 else None
        method = f"{row['method']} ({row['prompts']})"
        explain = no_such_branch if interval == 5 else None
        yield Cell(3, model, method, interval, branch, int(row["steps"]), row["macs_g"], explain)


def table12(rows: list[dict]) -> Iterator[Cell]:
    """Every branch of the CIFAR-10 model; the paper counts them from 1."""
    model = "ddpm-cifar10"
    for row in rows:
        number, interval = int(row["skip_branch"]), int(row["interval"])
        explain = upsampler_left_out if number in (7, 8) else None
        steps, method = architecture(model).steps, f"skip branch {number}"
        yield Cell(12, model, method, interval, number - 1, steps, row["macs_g"], explain)


TABLES = {
    "table01_imagenet_ldm4g.csv": table1,
    "table02_ddpm.csv": table2,
    "table03_sd15.csv": table3,
    "table12_branches_cifar10.csv": table12,
}


def published_cells(folder: Path) -> list[Cell]:
    """Read the paper's numbers.

    Raises:
        DeepCacheError: if a table is missing or is not what it should be.
    """
    cells = []
    for name, read in TABLES.items():
        try:
            with (folder / name).open(newline="") as file:
                found = list(read(list(csv.DictReader(file))))
            if not found or not all(cell.paper > 0 for cell in found):
                raise ValueError("no rows, or a macs_g that is not positive")
        except (OSError, KeyError, ValueError) as error:
            raise DeepCacheError(f"{folder / name}: cannot be read as a published table ({error!r})") from error
        cells += found
    return cells


def branches_needed(cells: list[Cell]) -> dict:
    """The branches to count, by architecture; two models of one architecture are counted once."""
    needed = {}
    for cell in cells:
        branches = needed.setdefault(architecture(cell.model), set())
        if cell.branch is not None:
            branches.add(cell.branch)
        if cell.explain is no_such_branch:
            branches.add(cell.branch + 1)
    return needed


def compare(cell: Cell, counts: Counts) -> tuple:
    """One row: the values of COLUMNS."""
    macs = step_macs(cell, counts)
    error = macs / cell.paper - 1
    decimals = len(cell.printed.partition(".")[2])
    note = cell.explain(cell, counts) if cell.explain else ""
    if not note and abs(error) > TOLERANCE and round(macs, decimals) == cell.paper:
        note = f"equal when rounded as the paper prints it (decimals: {decimals})"
    branch = "" if cell.branch is None else cell.branch
    return cell.table, cell.model, cell.method, branch, cell.interval, macs, cell.paper, error, note


def main(arguments) -> None:
    """Count every cell, then write both files."""
    import torch
    from tabulate import tabulate

    from deepcache.files import atomic
    from deepcache.progress import progress

    torch.set_num_threads(1)  # nothing is computed but shapes
    cells = published_cells(arguments.published)
    needed = progress(branches_needed(cells).items(), "MACs", unit="model")
    counts = {known: count(known, branches) for known, branches in needed}
    rows = [compare(cell, counts[architecture(cell.model)]) for cell in cells]
    with atomic(arguments.output) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*row[:5], f"{row[5]:.4f}", row[6], f"{row[7]:.5f}", row[8]) for row in rows)
    readable = [(*row[:5], f"{row[5]:.2f}", f"{row[6]:.2f}", f"{row[7]:+.2%}", row[8]) for row in rows]
    aligned = ["right" if name in ("macs_g", "macs_g_paper", "rel_error") else "left" for name in COLUMNS]
    with atomic(arguments.output.with_suffix(".md")) as temporary:
        table = tabulate(readable, COLUMNS, tablefmt="pipe", disable_numparse=True, colalign=aligned)
        temporary.write_text(table + "\n")


if __name__ == "__main__":
    parser = cli.argument_parser(__doc__)
    parser.add_argument(
        "--published", type=Path, default=Path("config/published"), metavar="DIR", help="the paper's tables, CSV"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("results/macs/paper_models.csv"),
        metavar="CSV",
        help="the comparison; a Markdown table goes beside it",
    )
    cli.run(main, parser)
