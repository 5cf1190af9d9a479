"""A table: our numbers beside the published ones, as CSV and Markdown."""

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from deepcache.caching.schedules import average_macs
from deepcache.errors import DeepCacheError
from deepcache.results.layout import baseline, variant
from deepcache.results.runs import Run

RANDOM_WEIGHTS = (
    "The weights are random: whatever depends on the samples means nothing here. MACs and times are those of the "
    "architecture at this size."
)


@dataclass
class Sources:
    """The result files that a table's cells are read from, below `results/<suite>`; a public method for each value.

    Attributes:
        root: `results/<suite>`.
        layout: the table's; throughput is measured for each table apart.
        used: the metrics files that were read, in order.
    """

    root: Path
    layout: dict
    used: dict[Path, dict] = field(default_factory=dict)

    def macs_g(self, runs: list[Run]) -> float:
        """G MACs of one image and step, averaged over the steps of the schedule (paper, Section 4.1).

        A trajectory without caching but with fewer steps counts over the table's number of steps, as in Table 3.
        """
        run = runs[0]
        counted = self._json(self.root / "macs" / f"{run.model}.json")
        steps, shallow = run.sampler.steps, counted["shallow_g"][run.method.branch]
        if run.method.schedule == "full":
            return counted["full_g"] * steps / self.layout["steps"]
        return average_macs(counted["full_g"], shallow, steps, run.method.full_steps(steps))

    def throughput(self, runs: list[Run]) -> float:
        """Images per second: the batch over the median time of a trajectory."""
        return self._latency()["variants"][variant(runs[0])]["throughput"]

    def speed(self, runs: list[Run]) -> float:
        """Times faster than the same model and sampler without caching, or than what the config says to compare with.

        The median over the interleaved repetitions.
        """
        name, timed = variant(runs[0]), self._latency()["variants"]
        pairs = zip(timed[baseline(self.layout, name)]["seconds"], timed[name]["seconds"], strict=True)
        return statistics.median(without / cached for without, cached in pairs)

    def fid(self, runs: list[Run]) -> float:
        """FID, mean over the seeds."""
        return self._mean(runs, "fid")

    def kid(self, runs: list[Run]) -> float:
        """KID, mean over the seeds."""
        return self._mean(runs, "kid")

    def _mean(self, runs: list[Run], key: str) -> float:
        found = []
        for run in runs:
            path = self.root / run.path / "metrics.json"
            self.used[path] = self._json(path)
            found.append(self.used[path][key])
        return statistics.fmean(found)

    def _latency(self) -> dict:
        return self._json(self.root / "latency" / f"{self.layout['name']}.json")

    def _json(self, path: Path) -> dict:
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise DeepCacheError(f"{path}: cannot be read ({error}); delete it and run again") from error


def build_table(layout: dict, root: Path, published: Path) -> pd.DataFrame:
    """Fill a layout: labels, then m, m_paper and m_delta for each column m that the paper prints, then the origin.

    Args:
        layout: see deepcache.results.layout.table_layout.
        root: `results/<suite>`.
        published: folder with the paper's tables.

    Raises:
        DeepCacheError: if a row is not among the published ones, a result is missing, or runs with different numbers of
            images would stand in one table (FID depends on it).
    """
    paper = _published_rows(layout["published"], published)
    sources = Sources(Path(root), layout)
    table = pd.DataFrame([_row(layout, row, paper, sources) for row in layout["rows"]])
    whole = [*dict.fromkeys(label for row in layout["rows"] for label in row["labels"]), "images", "seeds"]
    table[whole] = table[whole].convert_dtypes()  # else a row without a number turns the others' into fractions
    _check_counts(sources)
    return table


def _row(layout: dict, row: dict, paper: pd.DataFrame, sources: Sources) -> dict:
    printed = _find_published(layout, row["labels"], paper)
    runs = {name: [Run.parse(path) for path in paths] for name, paths in row["runs"].items()}
    cells = dict(row["labels"])
    for column in layout["columns"]:
        name = column["name"]
        if not runs:
            ours = None
        elif "minus" in column:
            first, second = column["minus"]
            ours = cells[first] - cells[second]
        else:
            ours = getattr(sources, column["value"])(runs[column["run"]])
        cells[name] = ours
        if name in paper.columns:
            theirs = None if pd.isna(printed[name]) else float(printed[name])
            cells[f"{name}_paper"] = theirs
            cells[f"{name}_delta"] = None if ours is None or theirs is None else ours - theirs
    mine = [sources.root / run.path for found in runs.values() for run in found]
    sidecars = [json.loads((path / "run.json").read_text()) for path in mine]
    cells["images"] = sidecars[0]["images"] if sidecars else None
    cells["seeds"] = len(next(iter(runs.values()))) if runs else None
    cells["device"] = "; ".join(sorted({device for one in sidecars for device in one["devices"]})) or None
    cells["weights"] = "; ".join(sorted({one["weights"] for one in sidecars})) or None
    cells["runs"] = "; ".join(str(path / "run.json") for path in mine) or None
    return cells


def _published_rows(where: dict, folder: Path) -> pd.DataFrame:
    paper = pd.read_csv(folder / where["file"])
    for column, value in where.get("where", {}).items():
        paper = paper[paper[column] == value]
    return paper


def _find_published(layout: dict, labels: dict, paper: pd.DataFrame) -> pd.Series:
    found = paper
    for column in layout["published"]["key"]:
        found = found[found[column] == labels[column]]
    if len(found) != 1:
        wanted = ", ".join(f"{column}={labels[column]}" for column in layout["published"]["key"])
        file = layout["published"]["file"]
        raise DeepCacheError(f"{layout['name']}: {len(found)} rows of {file} have {wanted}, there must be one")
    return found.iloc[0]


def _check_counts(sources: Sources) -> None:
    counts = sorted({metrics["images"] for metrics in sources.used.values()})
    if len(counts) > 1:
        raise DeepCacheError(
            f"{sources.layout['name']}: FID depends on the number of images, but its runs have {counts}: "
            "give all models the same samples"
        )


def to_markdown(table: pd.DataFrame, layout: dict) -> str:
    """The table for reading: title, note, rounded cells, and where each number comes from."""
    shown = table.drop(columns=["images", "seeds", "device", "weights", "runs"])
    text = shown.map(_readable).to_markdown(index=False, disable_numparse=True)
    made = table.dropna(subset=["runs"])
    origin = (
        f"{int(made['images'].iloc[0])} images in each run, seeds: {int(made['seeds'].iloc[0])}, "
        f"device: {'; '.join(sorted(set(made['device'])))}. `_paper`: as published; `_delta`: ours minus published. "
        "The CSV names the sidecar of every run."
    )
    warning = f"**{RANDOM_WEIGHTS}**\n\n" if "random" in set("; ".join(made["weights"]).split("; ")) else ""
    return f"# {layout['title']}\n\n{warning}{layout['note']}\n\n{text}\n\n{origin}\n"


def _readable(value) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    return str(value)
