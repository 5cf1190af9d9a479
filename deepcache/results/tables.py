"""A table: our numbers beside the published ones."""

import json
from pathlib import Path

import pandas as pd

from deepcache.errors import DeepCacheError
from deepcache.json_values import read_object
from deepcache.quality.intervals import MINIMUM_SEEDS, over_seeds, paired_over_images, paired_over_seeds
from deepcache.results.result_files import Sources
from deepcache.runs.run import Run
from deepcache.suite.layout import FROM_CLIP, FROM_PAIRED, RESULT_FILES
from deepcache.suite.search import ranked, settle

INTERVALS = ("_low", "_high", "_change")  # endings of columns that are left out where nothing fills them

_MAPPINGS = {"type": "array", "items": {"type": "object"}}
# What a table's layout must hold, as JSON schema; deepcache.suite.layout.table_layout makes it.
LAYOUT = {
    "type": "object",
    "required": ["name", "title", "note", "steps", "published", "prompted", "against", "timing", "columns", "rows"],
    "properties": {
        **{name: {"type": "string"} for name in ("name", "title", "note")},
        "published": {"type": ["object", "null"], "required": ["file", "key"]},
        "columns": {"type": "array", "items": {"type": "object", "required": ["name"]}},
        "rows": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["labels", "runs", "candidates", "by", "screenings"],
                "properties": {"labels": {"type": "object"}, "runs": {"type": "object"}, "screenings": _MAPPINGS},
            },
        },
    },
}


def build_table(layout: dict, root: Path, published: Path) -> pd.DataFrame:
    """Fill a layout, a row at a time.

    For each column m: our value `m`; `m_paper` and `m_delta` where the paper prints it; for a metric with three seeds
    or more also its 95 % interval over seeds (`m_low`, `m_high`), and the paired difference to the same model and
    sampler without caching (`m_change`, `m_change_low`, `m_change_high`). With one seed FID's change comes from a
    bootstrap, a CLIP score's from the images, to what the row is measured against. Then where they come from.
    A layout whose `published` is None has no counterpart in the paper. Where a window is published, `m_from` and `m_to`
    stand in its place, and `m_within` says `yes` or `no`; nothing if it is of another number of `images`.

    Args:
        layout: see deepcache.suite.layout.table_layout.
        root: `results/<suite>`.
        published: folder with the paper's tables.

    Raises:
        DeepCacheError: if a row is not among the published ones, a result is missing, or runs with different numbers of
            images would stand in one table (FID depends on it).
    """
    layout = settle(layout, root)
    paper = _published_rows(layout["published"], published)
    sources = Sources(Path(root), layout)
    table = pd.DataFrame([_row(layout, row, paper, sources) for row in layout["rows"]])
    table = table.drop(columns=[name for name in table if name.endswith(INTERVALS) and table[name].isna().all()])
    whole = [*dict.fromkeys(label for row in layout["rows"] for label in row["labels"]), "images", "seeds"]
    table[whole] = table[whole].convert_dtypes()  # else a row without a number turns the others' into fractions
    _check_counts(sources)
    return table


def _row(layout: dict, row: dict, paper: pd.DataFrame, sources: Sources) -> dict:
    printed = _find_published(layout, row, paper)
    runs = {name: [Run.parse(path) for path in paths] for name, paths in row["runs"].items()}
    candidates = [Run.parse(path) for path in row["candidates"]]
    labels = dict.fromkeys(label for one in layout["rows"] for label in one["labels"])
    cells = labels | row["labels"] | ({"quoted": int(printed["quoted"])} if "quoted" in paper else {})
    for column in layout["columns"]:
        name = column["name"]
        ours = _value(column, runs, candidates, row["by"], cells, sources)
        cells[name] = ours
        if name in paper.columns:
            theirs = None if pd.isna(printed[name]) else float(printed[name])
            cells[f"{name}_paper"] = theirs
            cells[f"{name}_delta"] = None if ours is None or theirs is None else ours - theirs
        if f"{name}_from" in paper.columns:
            cells |= {f"{name}_{end}": printed[f"{name}_{end}"] for end in ("from", "to")} | {f"{name}_within": None}
        if column.get("value") in RESULT_FILES:
            cells |= _intervals(name, column["value"], runs.get(column["run"], []), sources)
    mine = list(dict.fromkeys([*(run for found in runs.values() for run in found), *candidates]))
    cells |= _origin([sources.root / run.path for run in mine], runs, sources)
    within = {name: _within(name.removesuffix("_within"), cells, printed) for name in cells if name.endswith("_within")}
    return cells | within


def _within(name: str, cells: dict, printed: pd.Series) -> str | None:
    """Whether a value lies in the published window; None where there is none of as many images."""
    ends = [printed[f"{name}_{end}"] for end in ("from", "to")]
    if cells[name] is None or pd.isna(ends).any() or cells["images"] != printed.get("images"):
        return None
    return "yes" if ends[0] <= cells[name] <= ends[1] else "no"


def _value(column: dict, runs: dict[str, list[Run]], candidates: list[Run], by: str, cells: dict, sources: Sources):
    if "minus" in column:
        first, second = (cells[name] for name in column["minus"])
        return None if first is None or second is None else first - second
    if "best" in column:
        return _best(column["best"], candidates, by, sources)
    found = runs.get(column["run"], [])
    return sources.value(column["value"], found) if found else None


def _best(what: str, candidates: list[Run], by: str, sources: Sources):
    """Centre, power or score of the candidate with the lowest FID or the highest CLIP score."""
    scores = {run: sources.value(by, [run]) for run in candidates}
    best = next(iter(ranked(scores, by)), None)
    if best is None or scores[best] is None:
        return None
    return scores[best] if what == by else getattr(best.method.schedule, what)


def _intervals(name: str, metric: str, runs: list[Run], sources: Sources) -> dict:
    """The interval, and the paired change against what the row is compared with; empty cells where there is none."""
    ends = ("_low", "_high", "_change", "_change_low", "_change_high")
    one_seed = _of_one_seed if len(runs) == 1 else _over_seeds
    found = one_seed(metric, runs, sources) if runs else {}
    return {f"{name}{end}": found.get(end) for end in ends}


def _of_one_seed(metric: str, runs: list[Run], sources: Sources) -> dict:
    (run,) = runs
    if metric == "fid":
        paired = sources.paired_change(run)
        return {end: paired.get(f"fid{end}") for end in ("_change", "_change_low", "_change_high")}
    if metric in FROM_PAIRED:
        found = sources.result(metric, run)
        return {end: found.get(f"{metric}{end}") for end in ("_low", "_high")}
    if metric in FROM_CLIP and (other := sources.compared_with(run)) is not None:
        change = paired_over_images(*(sources.result(metric, one)["scores"] for one in (run, other)))
        return {"_change": change.value, "_change_low": change.low, "_change_high": change.high}
    return {}


def _over_seeds(metric: str, runs: list[Run], sources: Sources) -> dict:
    values = sources.by_seed(metric, runs)
    if len(values) < MINIMUM_SEEDS or None in values.values():
        return {}
    one = over_seeds(list(values.values()))
    found = {"_low": one.low, "_high": one.high}
    others = _others(metric, runs, sources)
    if others and others != runs and None not in (before := sources.by_seed(metric, others)).values():
        change = paired_over_seeds(values, before)
        found |= {"_change": change.value, "_change_low": change.low, "_change_high": change.high}
    return found


def _others(metric: str, runs: list[Run], sources: Sources) -> list[Run]:
    """What each seed's run is compared with: by its CLIP score what its speed is, else itself without caching."""
    if metric not in FROM_CLIP:
        return sources.without_caching(runs)
    found = [sources.compared_with(run) for run in runs]
    return [] if None in found else found


def _origin(folders: list[Path], runs: dict[str, list[Run]], sources: Sources) -> dict:
    """Number of images and seeds, device, weights, what is undefined and why, and every run's sidecar."""
    sidecars = [read_object(path / "run.json", ("images", "devices", "weights")) for path in folders]
    undefined = {
        f"{metric}: {reason}"
        for path in folders
        for metric, reason in sources.used.get(path / "metrics.json", {}).get("undefined", {}).items()
    }
    return {
        "images": sidecars[0]["images"] if sidecars else None,
        "seeds": len(next(iter(runs.values()))) if runs else (1 if sidecars else None),
        "device": "; ".join(sorted({device for one in sidecars for device in one["devices"]})) or None,
        "weights": "; ".join(sorted({one["weights"] for one in sidecars})) or None,
        "undefined": "; ".join(sorted(undefined)) or None,
        "runs": "; ".join(str(path / "run.json") for path in folders) or None,
    }


def _published_rows(where: dict | None, folder: Path) -> pd.DataFrame:
    if where is None:
        return pd.DataFrame()
    paper = pd.read_csv(folder / where["file"])
    for column, value in where.get("where", {}).items():
        paper = paper[paper[column] == value]
    return paper


def _find_published(layout: dict, row: dict, paper: pd.DataFrame) -> pd.Series:
    if layout["published"] is None:
        return pd.Series()
    if row.get("beyond"):
        return pd.Series({column: 0 if column == "quoted" else None for column in paper})
    found, labels = paper, row["labels"]
    for column in layout["published"]["key"]:
        found = found[found[column] == labels[column]]
    if len(found) != 1:
        wanted = ", ".join(f"{column}={labels[column]}" for column in layout["published"]["key"])
        file = layout["published"]["file"]
        raise DeepCacheError(f"{layout['name']}: {len(found)} rows of {file} have {wanted}, there must be one")
    return found.iloc[0]


def _check_counts(sources: Sources) -> None:
    """FID depends on the number of images: what is measured against the same reference must have as many."""
    counts: dict[str, set[int]] = {}
    for path, metrics in sources.used.items():
        if path.name != RESULT_FILES["fid"]:
            continue
        reference = json.dumps(metrics.get("reference"), sort_keys=True)
        counts.setdefault(reference, set()).add(metrics["images"])
    for found in counts.values():
        if len(found) > 1:
            raise DeepCacheError(
                f"{sources.layout['name']}: FID depends on the number of images, but its runs have {sorted(found)}: "
                "give all models the same samples"
            )
