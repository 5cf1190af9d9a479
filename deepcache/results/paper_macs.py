"""MACs of the paper's models, counted from their architectures, against those that it printed."""

import csv
import io
from dataclasses import dataclass

from tabulate import tabulate

from deepcache.caching.schedules import average_macs, uniform
from deepcache.cost.macs import branches_macs
from deepcache.cost.macs_authors import authors_branches_macs
from deepcache.models.dummy_inputs import dummy_inputs
from deepcache.models.paper import ARCHITECTURES, Architecture
from deepcache.progress import progress
from deepcache.results.published_macs import Cell, Counts, branches_needed

COLUMNS = (
    *("table", "model", "method", "branch", "interval"),
    *("macs_g", "macs_g_paper", "rel_error", "macs_g_authors", "note"),
)
NUMBERS = ("macs_g", "macs_g_paper", "rel_error", "macs_g_authors")
TOLERANCE = 0.005  # a relative error beyond this one needs a note


@dataclass(frozen=True)
class ComparedMacs:
    """A cell of the paper beside our count.

    Attributes:
        cell: the paper's.
        macs: ours, in G, averaged over the steps.
        authors: the same by the authors' count, see deepcache.cost.macs_authors.
        note: why they differ, where they do by more than TOLERANCE and it is known.
    """

    cell: Cell
    macs: float
    authors: float
    note: str

    @property
    def error(self) -> float:
        """Relative difference to the paper's number."""
        return self.macs / self.cell.paper - 1

    @property
    def labels(self) -> tuple:
        """The values of the columns before the numbers."""
        one = self.cell
        return one.table, one.model, one.method, "" if one.branch is None else one.branch, one.interval


def compare_macs(cells: list[Cell]) -> list[ComparedMacs]:
    """Count what stands behind each cell; every architecture once.

    Raises:
        DeepCacheError: if a cell that no branch explains lies elsewhere than between the two that are known.
    """
    needed = progress(branches_needed(cells).items(), "MACs", unit="model")
    counts = {known: _count(known, branches) for known, branches in needed}
    return [_compare(cell, *counts[ARCHITECTURES[cell.model]]) for cell in cells]


def macs_csv(rows: list[ComparedMacs]) -> str:
    """The comparison as CSV with the columns COLUMNS; MACs in G."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (*row.labels, f"{row.macs:.4f}", row.cell.paper, f"{row.error:.5f}", f"{row.authors:.4f}", row.note)
        for row in rows
    )
    return text.getvalue()


def macs_markdown(rows: list[ComparedMacs]) -> str:
    """The comparison as a Markdown table."""
    readable = [
        (
            *row.labels,
            f"{row.macs:.2f}",
            row.cell.printed,
            f"{row.error:+.2%}",
            f"{row.authors:.{row.cell.decimals}f}",
            row.note,
        )
        for row in rows
    ]
    aligned = ["right" if name in NUMBERS else "left" for name in COLUMNS]
    return tabulate(readable, COLUMNS, tablefmt="pipe", disable_numparse=True, colalign=aligned) + "\n"


def _count(known: Architecture, branches: set[int]) -> tuple[Counts, Counts]:
    """A full pass and the shallow passes of some branches, by our count and by the authors'."""
    unet = known.build()
    inputs = dummy_inputs(unet, 1, None, "meta", tokens=known.tokens)
    ours = branches_macs(unet, sorted(branches), inputs)
    return Counts(*ours), Counts(*authors_branches_macs(unet, sorted(branches), inputs, known.code))


def _step_macs(cell: Cell, counts: Counts) -> float:
    """G MACs a step, averaged over the trajectory; PLMS with 25 steps counts as half of 50, as in the paper."""
    if cell.branch is None:
        return counts.full * cell.steps / ARCHITECTURES[cell.model].steps
    # Only the number of full steps counts, and a non-uniform schedule has as many.
    return average_macs(counts.full, counts.shallow[cell.branch], cell.steps, uniform(cell.steps, cell.interval))


def _compare(cell: Cell, counts: Counts, authors: Counts) -> ComparedMacs:
    macs, decimals = _step_macs(cell, counts), cell.decimals
    note = cell.explain(cell, counts) if cell.explain else ""
    if not note and abs(macs / cell.paper - 1) > TOLERANCE and round(macs, decimals) == cell.paper:
        note = f"equal when rounded as the paper prints it (decimals: {decimals})"
    return ComparedMacs(cell, macs, _step_macs(cell, authors), note)
