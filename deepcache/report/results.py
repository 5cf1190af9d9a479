"""Everything that the report of a suite is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepcache.errors import DeepCacheError
from deepcache.json_values import read_object
from deepcache.report.contents import SUMMARY
from deepcache.report.reading import read_manifests, read_recorded, read_table, read_text
from deepcache.report.records import read_runs
from deepcache.suite.layout import table_layouts


@dataclass(frozen=True)
class SuiteResults:
    """The results of a suite that was run to the end.

    Attributes:
        folder: `results/<suite>`.
        suite: the config, merged and checked.
        layouts: of all tables, by name.
        tables: all tables, by name.
        texts: Markdown by the name of its page: of the tables, of `paper_models`, `diversity` and the summary.
        macs: MACs of the paper's architectures, see deepcache.results.paper_macs.
        diversity: see deepcache.results.diversity.
        verdicts: every number of the paper beside ours, see deepcache.results.paper_cells.
        timings: what each timing job measured, by its name.
        features: what each file of Figure 2 says of itself.
        runs: see deepcache.report.records.read_runs.
        checkpoints: manifests.
        datasets: manifests.
    """

    folder: Path
    suite: dict
    layouts: dict[str, dict]
    tables: dict[str, pd.DataFrame]
    texts: dict[str, str]
    macs: pd.DataFrame
    diversity: pd.DataFrame
    verdicts: pd.DataFrame
    timings: dict[str, dict]
    features: list[dict]
    runs: pd.DataFrame
    checkpoints: list[dict]
    datasets: list[dict]


def read_results(
    folder: Path,
    suite: dict,
    tables: Mapping[str, str],
    macs: Path,
    diversity: Path,
    timings: Mapping[str, str],
    features: Sequence[Path],
) -> SuiteResults:
    """Read all of it.

    Args:
        folder: `results/<suite>`.
        suite: the config, merged and checked.
        tables: name -> CSV; a table's Markdown lies beside it.
        macs: CSV of the paper's architectures, with its Markdown beside it.
        diversity: CSV, with its Markdown beside it.
        timings: name of the job -> JSON.
        features: the files of Figure 2.

    Raises:
        DeepCacheError: if a table is not named, or a file is missing or damaged.
    """
    layouts = table_layouts(suite)
    missing = sorted(layouts.keys() - tables.keys())
    if missing:
        raise DeepCacheError(f"--tables: no {missing[0]}=CSV, but the suite has that table")
    files = {name: Path(tables[name]) for name in layouts}
    found = {name: read_table(file) for name, file in files.items()}
    counted, different = read_table(macs), read_table(diversity)
    runs = read_runs(folder, layouts, different)
    checkpoints, datasets = (read_manifests(folder / kind, suite[kind]) for kind in ("checkpoints", "datasets"))
    pages = {**files, "paper_models": macs, "diversity": diversity, **{name: folder / name for name in SUMMARY}}
    return SuiteResults(
        folder=folder,
        suite=suite,
        layouts=layouts,
        tables=found,
        texts={name: read_text(file.with_suffix(".md")) for name, file in pages.items()},
        macs=counted,
        diversity=different,
        verdicts=read_table(folder / "paper_against_ours.csv"),
        timings={group: read_object(Path(file)) for group, file in timings.items()},
        features=[read_recorded(path) for path in features],
        runs=runs,
        checkpoints=checkpoints,
        datasets=datasets,
    )
