"""Paper against ours: every number that the paper printed, what this suite has for it, and a verdict."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepcache.errors import DeepCacheError, reason
from deepcache.results.differences import check_all_touch, read_differences, warnings_of
from deepcache.results.verdicts import METRICS, PICKED, Ours, judge

# What the columns of published tables measure, where they are not called so.
MEASURES = {
    **{name: name for name in METRICS},
    **dict.fromkeys(("fid_deepcache", "fid_zero_features", "fid_ddim", "delta"), "fid"),
    **dict.fromkeys(("clip_uniform", "clip_nonuniform"), "clip_score"),
}
LABELS = (
    "dataset",
    "model",
    "prompts",
    "method",
    "schedule",
    "steps",
    "full_steps",
    "skip_branch",
    "interval",
    *PICKED,
)
ABOUT = ("retrain", "retrain_steps", "quoted")


@dataclass(frozen=True)
class Table:
    """One of the suite's tables.

    Attributes:
        name: as in the config.
        title: its heading.
        path: its CSV file.
        data: what that file holds.
        published: `file`, `key` and perhaps `where`, as in the config; None where the paper has no such table.
        timing: the files that its times came from.
    """

    name: str
    title: str
    path: Path
    data: pd.DataFrame
    published: dict | None = None
    timing: tuple[str, ...] = ()


def read_csv(path: Path, columns: tuple[str, ...] | list[str], **options) -> pd.DataFrame:
    """Read a CSV file that has these columns and a row.

    Raises:
        DeepCacheError: if it is missing, damaged or something else.
    """
    try:
        table = pd.read_csv(path, **options)
    except (OSError, ValueError) as error:
        raise DeepCacheError(f"{path}: cannot be read ({reason(error)}); delete it and run again") from error
    if lacking := [name for name in columns if name not in table]:
        raise DeepCacheError(f"{path}: lacks {', '.join(lacking)}; delete it and run again")
    if table.empty:
        raise DeepCacheError(f"{path}: holds no rows; delete it and run again")
    return table


def open_table(name: str, title: str, path: Path, published: dict | None = None, timing=()) -> Table:
    """Read one of the suite's tables; DeepCacheError as in `read_csv`."""
    keys = [] if published is None else published["key"]
    return Table(name, title, path, read_csv(path, [*keys, "device", "weights", "runs"]), published, tuple(timing))


def paper_cells(published: Path, tables: list[Table], macs: Path, standard: dict) -> pd.DataFrame:
    """A row for each number in the paper's tables, in their order.

    Args:
        published: folder with the paper's tables, `tableNN_*.csv`.
        tables: the suite's.
        macs: what workflow/scripts/macs.py wrote: MACs of the paper's own architectures.
        standard: see deepcache.results.verdicts.judge.

    Returns:
        Columns `table` (the paper's number), `file`, `row` (its labels), `column`, `paper` (as printed), `ours`,
        `difference`, `relative_difference`, `verdict`, `reason`, `warning` (what of the settings is not known or not
        the same, see deepcache.results.differences), `source`. Of empty cells there is none.

    Raises:
        DeepCacheError: if a published column is unknown, a file is damaged, or one was made from other published
            numbers than these.
    """
    counted, differences = _CountedMacs(macs), read_differences(published)
    cells = []
    for path in published_files(published):
        printed = read_csv(path, [], dtype=str)
        typed = read_csv(path, [])
        results, labels = _columns(path, printed)
        for (_, texts), (_, row) in zip(printed.iterrows(), typed.iterrows(), strict=True):
            number = table_number(path)
            row_text = ", ".join(f"{name}={texts[name]}" for name in labels if pd.notna(texts[name]))
            shown = _shown(path.name, row, tables)
            for column in results:
                if pd.isna(texts[column]):
                    continue
                metric = MEASURES[column]
                ours = counted.find(number, texts) if metric == "macs_g" else _measured(column, row, shown)
                verdict, reason = judge(metric, texts[column], texts.get("quoted") == "1", ours, standard)
                paper = float(texts[column])
                difference = None if ours.value is None else ours.value - paper
                cells.append(
                    {
                        "table": number,
                        "file": path.name,
                        "row": row_text,
                        "column": column,
                        "paper": texts[column],
                        "ours": ours.value,
                        "difference": difference,
                        "relative_difference": difference / abs(paper) if paper and difference is not None else None,
                        "verdict": verdict,
                        "reason": reason,
                        "warning": warnings_of(differences, number, row_text, column) or None,
                        "source": ours.source or None,
                    }
                )
    counted.check_all_found()
    check_all_touch(differences, ((one["table"], one["row"], one["column"]) for one in cells))
    return pd.DataFrame(cells)


def published_files(folder: Path) -> list[Path]:
    """The paper's tables in their order; DeepCacheError if the folder holds none."""
    files = sorted(Path(folder).glob("table[0-9][0-9]_*.csv"))
    if not files:
        raise DeepCacheError(f"{folder}: holds no table of the paper (tableNN_*.csv)")
    return files


def table_number(path: Path) -> int:
    """2 of `table02_ddpm.csv`."""
    return int(path.name[len("table") :][:2])


def _columns(path: Path, table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Which columns are results, and which say what a row is."""
    if unknown := [name for name in table if name not in (*MEASURES, *LABELS, *ABOUT)]:
        raise DeepCacheError(f"{path}: {unknown[0]} is neither a known label nor a known result")
    results = [name for name in table if name in MEASURES and name not in PICKED]
    results = results or [name for name in table if name in PICKED]
    return results, [name for name in table if name in LABELS and name not in results]


def _shown(file: str, row: pd.Series, tables: list[Table]) -> tuple[Table, pd.Series] | None:
    """The suite's table and row that stand for a published one."""
    for table in tables:
        where = table.published
        if where is None or where["file"] != file:
            continue
        if any(row[name] != value for name, value in where.get("where", {}).items()):
            continue
        found = table.data[(table.data[where["key"]] == row[where["key"]]).all(axis=1)]
        if len(found) > 1:
            raise DeepCacheError(f"{table.path}: {len(found)} rows stand for one of {file}; delete it and run again")
        if len(found) == 1:
            return table, found.iloc[0]
    return None


def _measured(column: str, row: pd.Series, shown: tuple[Table, pd.Series] | None) -> Ours:
    if shown is None:
        return Ours(missing="no table of the suite has this row")
    table, mine = shown
    if column not in mine:
        return Ours(missing="the suite's table has no such column")
    value, low, high, stated = (_number(table, mine.get(f"{column}{end}")) for end in ("", "_low", "_high", "_paper"))
    if stated != row[column]:
        raise DeepCacheError(
            f"{table.path}: says that the paper's {column} is {stated}, it is {row[column]}; delete it and run again"
        )
    metric = MEASURES[column]
    if value is None:
        undefined = "" if pd.isna(mine.get("undefined")) else str(mine["undefined"])
        reasons = [one.partition(": ") for one in undefined.split("; ")]
        reason = next((text for name, _, text in reasons if name == metric), "")
        return Ours(undefined=reason) if reason else Ours(missing="no run stands behind this cell")
    return Ours(
        value,
        low,
        high,
        images=_number(table, mine.get("images")),
        device=str(mine["device"]),
        weights=str(mine["weights"]),
        source="; ".join(table.timing) if metric in ("throughput", "speed") else str(mine["runs"]),
    )


def _number(table: Table, value) -> float | None:
    if pd.isna(value):
        return None
    try:
        return float(value)
    except ValueError as error:
        raise DeepCacheError(f"{table.path}: {value!r} is no number; delete it and run again") from error


class _CountedMacs:
    """MACs of the paper's architectures, found by table, method and printed number; each row once, in order."""

    def __init__(self, path: Path):
        self._path = path
        table = read_csv(path, ["table", "method", "macs_g", "macs_g_paper", "note"])
        self._rows: dict[tuple, list] = {}
        for row in table.itertuples():
            self._rows.setdefault((row.table, row.method, row.macs_g_paper), []).append(row)
        self._taken = Counter()

    def find(self, number: int, texts: pd.Series) -> Ours:
        """The count for a published row, which stands in the file as workflow/scripts/macs.py calls it."""
        method = f"skip branch {texts['skip_branch']}" if "skip_branch" in texts else texts["method"]
        method += f" ({texts['prompts']})" if "prompts" in texts else ""
        key = (number, method, float(texts["macs_g"]))
        # Table 2 has the same method, and for LSUN the same number, for several datasets, in the same order.
        rows, taken = self._rows.get(key, []), self._taken[key]
        if taken == len(rows):
            return Ours(missing="its architecture is not among those counted")
        self._taken[key] += 1
        note = "" if pd.isna(rows[taken].note) else rows[taken].note
        return Ours(float(rows[taken].macs_g), note=note, source=str(self._path))

    def check_all_found(self) -> None:
        """DeepCacheError if a row belongs to none of the published: the file is older than they are."""
        for key, rows in self._rows.items():
            if self._taken[key] < len(rows):
                number, method, paper = key
                raise DeepCacheError(
                    f"{self._path}: Table {number} of the paper has no {method} with {paper} G; delete it and run again"
                )
