"""The summary of a suite: every run behind its tables, and a page that leads to everything."""

import os
from pathlib import Path

import pandas as pd

from deepcache.errors import DeepCacheError
from deepcache.json_values import read_object
from deepcache.results.paper_cells import Table, table_number
from deepcache.results.verdicts import DIFFERS, REPRODUCED, VERDICTS
from deepcache.runs.run import Run
from deepcache.suite.layout import FROM_CLIP, FROM_METRICS, FROM_PAIRED

# What is read of the files beside a run's sidecar, where they are.
BESIDE = {
    "metrics.json": (*FROM_METRICS, "kid_sd"),
    "paired.json": ("fid_change", "fid_change_low", "fid_change_high"),
    "clip_score.json": FROM_CLIP,
    "paired_fidelity.json": FROM_PAIRED,
}

# What the summary must be told of a suite, as JSON schema.
SUITE = {
    "type": "object",
    "required": ["name", "verdicts", "figures", "tables"],
    "properties": {
        "verdicts": {"type": "object", "required": ["comparable", "tolerances"]},
        "figures": {"type": "array", "items": {"type": "string"}},
        "tables": {"type": "object", "additionalProperties": {"type": "object", "required": ["title", "path"]}},
    },
}


def summarize_runs(root: Path, tables: list[Table]) -> pd.DataFrame:
    """A row for each run that a table names, in the tables' order.

    Args:
        root: `results/<suite>`.
        tables: the suite's; runs that lie below `root` but stand in none of them are left out.

    Returns:
        Columns `run` (its folder below `root`), what it is (`model` to `seed`; `branch` counts from 0, and is empty
        without caching, as are those of the schedule), what it was made of and on (`images` to `sampling_seconds`),
        every metric found beside it, and `tables`, the names of those that it stands in.

    Raises:
        DeepCacheError: if there is no run, a file is missing or damaged, or a metric is of other samples than the run
            now has.
    """
    found: dict[Run, list[str]] = {}
    for table in tables:
        for cell in table.data["runs"].dropna():
            for sidecar in str(cell).split("; "):
                found.setdefault(_run(sidecar, table), []).append(table.name)
    if not found:
        raise DeepCacheError(f"no run stands in any of {', '.join(table.name for table in tables)}")
    return pd.DataFrame([_row(Path(root), run, names) for run, names in found.items()]).convert_dtypes()


def _run(sidecar: str, table: Table) -> Run:
    try:
        return Run.parse(Path(sidecar).parent)
    except DeepCacheError as error:
        raise DeepCacheError(f"{table.path}: {error}; delete it and run again") from error


def _row(root: Path, run: Run, tables: list[str]) -> dict:
    path, sampler, method = root / run.path / "run.json", run.sampler, run.method
    made = read_object(path)
    parameters = {} if method.schedule is None else vars(method.schedule)
    try:
        row = {
            "run": str(run.path),
            "model": run.model,
            "sampler": sampler.name,
            "steps": sampler.steps,
            "spacing": sampler.spacing,
            "guidance_scale": sampler.guidance_scale,
            "method": method.slug,
            "schedule": method.schedule.name if method.caches else method.slug,
            "interval": method.interval,
            "branch": method.branch if method.caches else None,
            "center": parameters.get("center"),
            "power": parameters.get("power"),
            "reuse": method.reuse.slug if method.caches else None,
            "seed": run.seed,
            "images": made["images"],
            "device": "; ".join(made["devices"]),
            "weights": made["weights"],
            "commit": "; ".join(made["commits"]),
            "versions": "; ".join(f"{name} {version}" for name, version in made["versions"].items()),
            "settings_hash": made["settings_hash"],
            "sampling_seconds": made["sampling_seconds"],
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise DeepCacheError(f"{path}: no sidecar of a run ({error!r}); delete it and run again") from error
    for file, names in BESIDE.items():
        beside = root / run.path / file
        measured = read_object(beside) if beside.exists() else {}
        for key in ("images", "settings_hash"):
            if measured.get(key, made[key]) != made[key]:
                raise DeepCacheError(f"{beside}: has other {key} than {path}; delete it and run again")
        row |= {name: measured.get(name) for name in names}
    return row | {"tables": "; ".join(dict.fromkeys(tables))}


def summary_page(
    suite: dict, tables: list[Table], runs: pd.DataFrame, cells: pd.DataFrame, page: Path, against: Path
) -> str:
    """The summary for reading, as Markdown.

    Args:
        suite: `name`, `verdicts` as in the config, and `figures`, their paths.
        tables: the suite's.
        runs: see `summarize_runs`.
        cells: see deepcache.results.paper_cells.paper_cells.
        page: where the text will stand; links are relative to it.
        against: the page "paper against ours".
    """

    def link(text: str, path: str | Path) -> str:
        return f"[{text}]({Path(os.path.relpath(path, page.parent)).as_posix()})"

    standard = suite["verdicts"]
    compared = (
        "Its models, data and settings are the paper's."
        if standard["comparable"]
        else f"Only MACs can be compared with the paper's numbers: {standard['reason']}."
    )
    overview = [_table_line(table, cells, link) for table in tables]
    other = cells[~cells["file"].isin([table.published["file"] for table in tables if table.published])]
    parts = [
        f"# Summary of the suite {suite['name']}",
        f"{compared} {len(runs)} runs of {runs['model'].nunique()} models made {int(runs['images'].sum()):,} images in "
        f"{runs['sampling_seconds'].sum() / 3600:.2g} hours of sampling. {link('The runs', page.with_suffix('.csv'))}: "
        "settings, origin and metrics of each; branches count from 0.",
        "## Tables",
        pd.DataFrame(overview).to_markdown(index=False, disable_numparse=True),
        "Largest difference: relative, of the cells that are reproduced or differ. "
        f"{link('Paper against ours', against)} has every cell, its verdict and why."
        + (f" {other['file'].nunique()} of the paper's tables are not in this suite." if len(other) else ""),
        "## Figures",
        "\n".join(f"- {link(Path(figure).stem, figure)}" for figure in suite["figures"]) or "None.",
        "## Where the numbers come from",
        "\n".join(
            f"- {name}: {_occurring(runs[column])}"
            for name, column in (
                ("Devices", "device"),
                ("Weights", "weights"),
                ("Commits of this project", "commit"),
                ("Versions", "versions"),
            )
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _table_line(table: Table, cells: pd.DataFrame, link) -> dict:
    # Two tables may stand for parts of one of the paper's: the cells are those of the whole.
    mine = cells[cells["file"] == table.published["file"]] if table.published else cells[:0]
    counts = mine["verdict"].value_counts()
    return {
        "table": link(table.title, table.path.with_suffix(".md")),
        "rows": len(table.data),
        "of them run": int(table.data["runs"].notna().sum()),
        "numbers of the paper": len(mine) or "",
        **{verdict: int(counts.get(verdict, 0)) if len(mine) else "" for verdict in VERDICTS},
        "largest difference": _largest(mine),
    }


def _largest(cells: pd.DataFrame) -> str:
    compared = cells[cells["verdict"].isin([REPRODUCED, DIFFERS])].dropna(subset=["relative_difference"])
    if compared.empty:
        return ""
    cell = compared.loc[compared["relative_difference"].astype(float).abs().idxmax()]
    return f"{cell['relative_difference']:+.2%} ({cell['column']}, {cell['row'].replace('|', '/')})"


def _occurring(values: pd.Series) -> str:
    """Distinct values, and of how many runs each is where there are several."""
    counts = values.value_counts()
    if len(counts) == 1:
        return str(counts.index[0])
    return "; ".join(f"{value} ({count} runs)" for value, count in counts.items())


def against_page(suite: dict, tables: list[Table], cells: pd.DataFrame, page: Path, published: Path) -> str:
    """Paper against ours for reading, as Markdown: what can be compared, and how much cannot and why.

    Args:
        suite: as for `summary_page`.
        tables: the suite's.
        cells: see deepcache.results.paper_cells.paper_cells.
        page: where the text will stand.
        published: folder with the paper's tables.
    """
    contradictions = Path(os.path.relpath(Path(published, "README.md"), page.parent)).as_posix()
    counts, table = cells["verdict"].value_counts(), page.with_suffix(".csv").name
    parts = [
        f"# Paper against ours: the suite {suite['name']}",
        f"The paper prints {len(cells)} numbers in {cells['file'].nunique()} tables. [{table}]({table}) has each of "
        "them beside ours with the difference, a verdict, its reason and the source. Here are those that compare. "
        f"In places [the paper disagrees with itself]({contradictions}).",
        pd.DataFrame([{"verdict": one, "numbers": int(counts.get(one, 0))} for one in VERDICTS]).to_markdown(
            index=False
        ),
    ]
    for file, mine in cells.groupby("file", sort=True):
        title = " / ".join(t.title for t in tables if t.published and t.published["file"] == file)
        parts.append(f"## {title or f'Table {table_number(Path(file))}'}")
        compared = mine[mine["verdict"].isin([REPRODUCED, DIFFERS])]
        if len(compared):
            parts.append(_readable(compared).to_markdown(index=False, disable_numparse=True))
        others = mine.drop(compared.index).groupby(["verdict", "reason"], sort=False).size()
        if len(others):
            parts.append("; ".join(f"{n} {verdict} ({reason})" for (verdict, reason), n in others.items()) + ".")
        if warned := _warnings(mine):
            parts.append("What may make them differ:\n\n" + "\n".join(warned))
    return "\n\n".join(parts) + "\n"


def _warnings(cells: pd.DataFrame) -> list[str]:
    """Each warning with the cells that it touches, as items of a list."""
    found: dict[str, dict[str, int]] = {}
    for cell in cells.dropna(subset=["warning"]).itertuples():
        for warning in cell.warning.split("; "):
            counts = found.setdefault(warning, {})
            counts[cell.column] = counts.get(cell.column, 0) + 1
    return [
        f"- {warning}: {', '.join(f'`{column}` of {count} rows' for column, count in counts.items())}"
        for warning, counts in found.items()
    ]


def _readable(cells: pd.DataFrame) -> pd.DataFrame:
    shown = cells[["row", "column", "paper"]].copy()
    shown["ours"] = [f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}" for value in cells["ours"]]
    shown["difference"] = [
        f"{difference:+.2g}" if pd.isna(relative) else f"{relative:+.2%}"
        for difference, relative in zip(cells["difference"], cells["relative_difference"], strict=True)
    ]
    return shown.assign(verdict=cells["verdict"], reason=cells["reason"], warning=cells["warning"].fillna(""))
